// Welford's update in double: one pass over a row for the mean and the variance.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float eps, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        double mean = 0.0, squares = 0.0;
        for (int64_t n = 0; n < N; ++n) {
            const double delta = x[m * N + n] - mean;
            mean += delta / (n + 1);
            squares += delta * (x[m * N + n] - mean);
        }
        const double scale = 1.0 / std::sqrt(squares / N + eps);
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = (x[m * N + n] - mean) * scale * weight[n] + bias[n];
        }
    }
}
