// Norms of the codes first; then the largest of z . c - |c|^2 / 2 in float, the last of equal ones, rows among threads.
extern "C" void kernel(const float* z, const float* codes, int32_t* index, float* code, int64_t N, int64_t D,
                       int64_t K) {
    std::vector<float> half(K);
    for (int64_t k = 0; k < K; ++k) {
        for (int64_t d = 0; d < D; ++d) {
            half[k] += 0.5f * codes[k * D + d] * codes[k * D + d];
        }
    }
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < N; ++n) {
        int64_t best = 0;
        float most = -INFINITY;
        for (int64_t k = 0; k < K; ++k) {
            float score = -half[k];
            for (int64_t d = 0; d < D; ++d) {
                score += z[n * D + d] * codes[k * D + d];
            }
            if (score >= most) {
                most = score;
                best = k;
            }
        }
        index[n] = best;
        std::copy_n(codes + best * D, D, code + n * D);
    }
}
