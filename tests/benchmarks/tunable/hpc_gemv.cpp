// ROWS rows at a time share the loads of x; each is summed in SUMS vectors of eight partial sums.
// evokern: tunable ROWS in {1, 2, 4, 8, 16}
// evokern: tunable SUMS in {1, 2, 4, 8}
// evokern: tunable CHUNK in {1, 4, 16}
// evokern: tunable SCHEDULE in {static, dynamic}
// evokern: tunable AHEAD in {0, 512, 2048}
// evokern: flag WIDTH in {none, -mprefer-vector-width=512}
// evokern: where ROWS * SUMS * 64 <= 32 * vector_bytes
constexpr int64_t LANES = 8 * SUMS;

extern "C" void kernel(const double* A, const double* x, double* y, int64_t M, int64_t N) {
    const int64_t whole = N / LANES * LANES;
#pragma omp parallel for schedule(SCHEDULE, CHUNK)
    for (int64_t m0 = 0; m0 < M; m0 += ROWS) {
        const int64_t height = std::min<int64_t>(ROWS, M - m0);
        double sums[ROWS][LANES] = {};
        for (int64_t n = 0; n < whole; n += LANES) {
            for (int64_t m = 0; m < height; ++m) {
                const double* row = A + (m0 + m) * N + n;
                if (AHEAD != 0) {
                    __builtin_prefetch(&row[AHEAD]);
                }
#pragma omp simd
                for (int64_t l = 0; l < LANES; ++l) {
                    sums[m][l] += row[l] * x[n + l];
                }
            }
        }
        for (int64_t m = 0; m < height; ++m) {
            double sum = 0.0;
            for (int64_t l = 0; l < LANES; ++l) {
                sum += sums[m][l];
            }
            for (int64_t n = whole; n < N; ++n) {
                sum += A[(m0 + m) * N + n] * x[n];
            }
            y[m0 + m] = sum;
        }
    }
}
