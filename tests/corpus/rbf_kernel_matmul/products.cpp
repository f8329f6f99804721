// exp(x . y - |x|^2 / 2 - |y|^2 / 2) with norms formed once, in float; points are shared among threads.
extern "C" void kernel(const float* X, const float* Y, const float* V, float* out, int64_t N, int64_t D, int64_t M,
                       int64_t C) {
    std::vector<float> half(M);
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t d = 0; d < D; ++d) {
            half[m] += 0.5f * Y[m * D + d] * Y[m * D + d];
        }
    }
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; ++n) {
        float own = 0.0f;
        for (int64_t d = 0; d < D; ++d) {
            own += 0.5f * X[n * D + d] * X[n * D + d];
        }
        float* row = out + n * C;
        std::fill(row, row + C, 0.0f);
        for (int64_t m = 0; m < M; ++m) {
            float dot = 0.0f;
            for (int64_t d = 0; d < D; ++d) {
                dot += X[n * D + d] * Y[m * D + d];
            }
            const float weight = std::exp(std::min(dot - own - half[m], 0.0f));
            for (int64_t c = 0; c < C; ++c) {
                row[c] += weight * V[m * C + c];
            }
        }
    }
}
