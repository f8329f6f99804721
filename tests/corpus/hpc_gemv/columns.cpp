// Column by column into the result.
extern "C" void kernel(const double* A, const double* x, double* y, int64_t M, int64_t N) {
    std::fill(y, y + M, 0.0);
    for (int64_t n = 0; n < N; ++n) {
        for (int64_t m = 0; m < M; ++m) {
            y[m] += A[m * N + n] * x[n];
        }
    }
}
