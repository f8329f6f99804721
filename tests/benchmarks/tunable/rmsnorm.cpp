// Rows are shared among threads, ROWS at a time; squares go into SUMS vectors of partial sums.
// evokern: tunable ROWS in {1, 2, 4, 8}
// evokern: tunable CHUNK in {8, 1, 2, 32, 128}
// evokern: tunable SCHEDULE in {static, dynamic}
// evokern: tunable SUMS in {1, 2, 4, 8}
// evokern: tunable AHEAD in {0, 1024, 2048, 4096}
// evokern: where ROWS * SUMS <= 16
constexpr int64_t LANES = 16 * SUMS;

extern "C" void kernel(const float* x, const float* weight, float eps, float* y, int64_t T, int64_t D) {
#pragma omp parallel for schedule(SCHEDULE, CHUNK)
    for (int64_t first = 0; first < T; first += ROWS) {
        const int64_t end = std::min<int64_t>(first + ROWS, T), whole = D / LANES * LANES;
        float scales[ROWS];
        for (int64_t t = first; t < end; ++t) {
            float sums[LANES] = {};
            for (int64_t d = 0; d < whole; d += LANES) {
                if (AHEAD != 0) {
                    for (int64_t l = 0; l < LANES; l += 16) {
                        __builtin_prefetch(&x[t * D + d + l + AHEAD]);
                    }
                }
#pragma omp simd
                for (int64_t l = 0; l < LANES; ++l) {
                    sums[l] += x[t * D + d + l] * x[t * D + d + l];
                }
            }
            double squares = 0.0;
            for (int64_t l = 0; l < LANES; ++l) {
                squares += sums[l];
            }
            for (int64_t d = whole; d < D; ++d) {
                squares += double(x[t * D + d]) * x[t * D + d];
            }
            scales[t - first] = 1.0 / std::sqrt(squares / D + eps);
        }
        for (int64_t t = first; t < end; ++t) {
            const float scale = scales[t - first];
#pragma omp simd
            for (int64_t d = 0; d < D; ++d) {
                y[t * D + d] = x[t * D + d] * scale * weight[d];
            }
        }
    }
}
