// Rows shared among threads, eight sums each.
extern "C" void kernel(const double* A, const double* x, double* y, int64_t M, int64_t N) {
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; ++m) {
        const double* row = A + m * N;
        double lanes[8] = {};
        const int64_t whole = N / 8 * 8;
        for (int64_t n = 0; n < whole; n += 8) {
            for (int64_t lane = 0; lane < 8; ++lane) {
                lanes[lane] += row[n + lane] * x[n + lane];
            }
        }
        double sum = 0.0;
        for (double lane : lanes) {
            sum += lane;
        }
        for (int64_t n = whole; n < N; ++n) {
            sum += row[n] * x[n];
        }
        y[m] = sum;
    }
}
