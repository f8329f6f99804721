// Tiles of 16 by 16 by 32, each with a copy of its part of B.
constexpr int64_t T = 16, DEPTH = 32;

extern "C" void kernel(const float* A, const float* B, float* C, int64_t M, int64_t K, int64_t N) {
    float tile[DEPTH][T];
    for (int64_t i = 0; i < M * N; ++i) {
        C[i] = 0.0f;
    }
    for (int64_t k0 = 0; k0 < K; k0 += DEPTH) {
        const int64_t depth = std::min(DEPTH, K - k0);
        for (int64_t n0 = 0; n0 < N; n0 += T) {
            const int64_t width = std::min(T, N - n0);
            for (int64_t k = 0; k < depth; ++k) {
                for (int64_t n = 0; n < width; ++n) {
                    tile[k][n] = B[(k0 + k) * N + n0 + n];
                }
            }
            for (int64_t m = 0; m < M; ++m) {
                float sums[T] = {};
                for (int64_t k = 0; k < depth; ++k) {
                    for (int64_t n = 0; n < width; ++n) {
                        sums[n] += A[m * K + k0 + k] * tile[k][n];
                    }
                }
                for (int64_t n = 0; n < width; ++n) {
                    C[m * N + n0 + n] += sums[n];
                }
            }
        }
    }
}
