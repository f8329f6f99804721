// Rows shared among threads; the mean and the variance in double, kept for the whole row.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float eps, float* y, int64_t M, int64_t N) {
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; ++m) {
        const float* row = x + m * N;
        double sum = 0.0, squares = 0.0;
        for (int64_t n = 0; n < N; ++n) {
            sum += row[n];
        }
        const double mean = sum / N;
        for (int64_t n = 0; n < N; ++n) {
            squares += (row[n] - mean) * (row[n] - mean);
        }
        const double scale = 1.0 / std::sqrt(squares / N + eps);
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = (row[n] - mean) * scale * weight[n] + bias[n];
        }
    }
}
