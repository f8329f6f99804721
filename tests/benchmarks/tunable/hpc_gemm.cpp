// Tiles of ROWS by COLUMNS are kept in registers over DEPTH steps of k.
// evokern: tunable ROWS in {4, 1, 2, 6, 8, 12}
// evokern: tunable COLUMNS in {32, 16, 48, 64}
// evokern: tunable DEPTH in {128, 16, 32, 64}
// evokern: tunable SCHEDULE in {static, dynamic}
// evokern: flag WIDTH in {none, -mprefer-vector-width=512}
// evokern: flag UNROLL in {none, -funroll-loops}
// evokern: where ROWS * COLUMNS * 4 <= 24 * vector_bytes
extern "C" void kernel(const float* A, const float* B, float* C, int64_t M, int64_t K, int64_t N) {
#pragma omp parallel for collapse(2) schedule(SCHEDULE)
    for (int64_t m0 = 0; m0 < M; m0 += ROWS) {
        for (int64_t n0 = 0; n0 < N; n0 += COLUMNS) {
            const int64_t height = std::min<int64_t>(ROWS, M - m0), width = std::min<int64_t>(COLUMNS, N - n0);
            float sums[ROWS][COLUMNS] = {};
            for (int64_t k0 = 0; k0 < K; k0 += DEPTH) {
                const int64_t end = std::min<int64_t>(k0 + DEPTH, K);
                if (height == ROWS && width == COLUMNS) {
                    for (int64_t k = k0; k < end; ++k) {
                        for (int64_t m = 0; m < ROWS; ++m) {
#pragma omp simd
                            for (int64_t n = 0; n < COLUMNS; ++n) {
                                sums[m][n] += A[(m0 + m) * K + k] * B[k * N + n0 + n];
                            }
                        }
                    }
                } else {
                    for (int64_t k = k0; k < end; ++k) {
                        for (int64_t m = 0; m < height; ++m) {
                            for (int64_t n = 0; n < width; ++n) {
                                sums[m][n] += A[(m0 + m) * K + k] * B[k * N + n0 + n];
                            }
                        }
                    }
                }
            }
            for (int64_t m = 0; m < height; ++m) {
                for (int64_t n = 0; n < width; ++n) {
                    C[(m0 + m) * N + n0 + n] = sums[m][n];
                }
            }
        }
    }
}
