// Rows are shared among threads; each is summed in SUMS vectors of partial sums, once for both statistics.
// evokern: tunable CHUNK in {16, 1, 4, 64, 256}
// evokern: tunable SCHEDULE in {static, dynamic}
// evokern: tunable SUMS in {1, 2, 4, 8}
// evokern: tunable AHEAD in {0, 1024, 4096}
// evokern: flag WIDTH in {none, -mprefer-vector-width=512}
// evokern: flag UNROLL in {none, -funroll-loops}
// evokern: where SUMS * 64 <= 8 * vector_bytes
constexpr int64_t LANES = 16 * SUMS;

extern "C" void kernel(const float* x, const float* weight, const float* bias, float eps, float* y, int64_t M, int64_t N) {
#pragma omp parallel for schedule(SCHEDULE, CHUNK)
    for (int64_t m = 0; m < M; ++m) {
        const float* row = x + m * N;
        const float shift = row[0];  // of equal elements nothing may be left
        float sums[LANES] = {}, squares[LANES] = {};
        const int64_t whole = N / LANES * LANES;
        for (int64_t n = 0; n < whole; n += LANES) {
            if (AHEAD != 0) {
                for (int64_t l = 0; l < LANES; l += 16) {
                    __builtin_prefetch(&row[n + l + AHEAD]);
                }
            }
#pragma omp simd
            for (int64_t l = 0; l < LANES; ++l) {
                const float centred = row[n + l] - shift;
                sums[l] += centred;
                squares[l] += centred * centred;
            }
        }
        double sum = 0.0, square = 0.0;
        for (int64_t l = 0; l < LANES; ++l) {
            sum += sums[l];
            square += squares[l];
        }
        for (int64_t n = whole; n < N; ++n) {
            const double centred = row[n] - shift;
            sum += centred;
            square += centred * centred;
        }
        const double mean = sum / N;
        const float scale = 1.0 / std::sqrt(std::max(square / N - mean * mean, 0.0) + eps), centre = shift + mean;
#pragma omp simd
        for (int64_t n = 0; n < N; ++n) {
            y[m * N + n] = (row[n] - centre) * scale * weight[n] + bias[n];
        }
    }
}
