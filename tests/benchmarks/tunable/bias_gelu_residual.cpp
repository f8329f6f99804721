// Blocks of rows and columns are shared among threads; the sum inside erf is computed in a tile of its own.
// evokern: tunable ROWS in {4, 1, 16, 64}
// evokern: tunable BLOCK in {1024, 64, 256, 4096}
// evokern: tunable SCHEDULE in {static, dynamic, guided}
// evokern: tunable AHEAD in {0, 256, 1024, 4096}
// evokern: flag WIDTH in {none, -mprefer-vector-width=512}
// evokern: flag MATH in {none, -fassociative-math -fno-signed-zeros}
// evokern: where ROWS * BLOCK * 12 <= l2_cache
extern "C" void kernel(const float* x, const float* bias, const float* residual, float* y, int64_t M, int64_t N) {
#pragma omp parallel for collapse(2) schedule(SCHEDULE)
    for (int64_t rows = 0; rows < M; rows += ROWS) {
        for (int64_t block = 0; block < N; block += BLOCK) {
            const int64_t end = std::min<int64_t>(rows + ROWS, M), last = std::min<int64_t>(block + BLOCK, N);
            float inner[BLOCK];
            for (int64_t m = rows; m < end; ++m) {
                for (int64_t n = block; n < last; ++n) {
                    if (AHEAD != 0 && n % 16 == 0) {
                        __builtin_prefetch(&x[m * N + n + AHEAD]);
                        __builtin_prefetch(&residual[m * N + n + AHEAD]);
                    }
                    inner[n - block] = std::erf((x[m * N + n] + bias[n]) * 0.70710678f);
                }
#pragma omp simd
                for (int64_t n = block; n < last; ++n) {
                    y[m * N + n] = 0.5f * (x[m * N + n] + bias[n]) * (1.0f + inner[n - block]) + residual[m * N + n];
                }
            }
        }
    }
}
