// y = A x, row by row.
extern "C" void kernel(const double* A, const double* x, double* y, int64_t M, int64_t N) {
    for (int64_t m = 0; m < M; ++m) {
        double sum = 0.0;
        for (int64_t n = 0; n < N; ++n) {
            sum += A[m * N + n] * x[n];
        }
        y[m] = sum;
    }
}
