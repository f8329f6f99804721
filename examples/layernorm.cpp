// y = (x - mean) / sqrt(variance + eps) * weight + bias, for each row of x.
// The sums are doubles: a float that grows over thousands of addends loses what the reference keeps.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float eps, float* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        double sum = 0.0;
        for (int64_t n = 0; n < N; ++n) {
            sum += x[m * N + n];
        }
        const float mean = sum / N;
        double squares = 0.0;
        for (int64_t n = 0; n < N; ++n) {
            const float centred = x[m * N + n] - mean;
            squares += centred * centred;
        }
        const float scale = 1.0 / std::sqrt(squares / N + eps);
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = (x[m * N + n] - mean) * scale * weight[n] + bias[n];
        }
    }
}
