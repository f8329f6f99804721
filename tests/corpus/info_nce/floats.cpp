// In float; cosines are at most 1, so 1 / tau serves as the maximum of all rows and columns. Columns are added on the way.
extern "C" void kernel(const float* a, const float* b, float tau, float* loss, float* rows, int64_t B, int64_t D) {
    std::vector<float> na(B), nb(B), across(B), down(B), own(B);
#pragma omp parallel for
    for (int64_t i = 0; i < B; ++i) {
        float sa = 0.0f, sb = 0.0f;
        for (int64_t d = 0; d < D; ++d) {
            sa += a[i * D + d] * a[i * D + d];
            sb += b[i * D + d] * b[i * D + d];
        }
        na[i] = 1.0f / std::max(std::sqrt(sa), 1e-12f);
        nb[i] = 1.0f / std::max(std::sqrt(sb), 1e-12f);
    }
    const float top = 1.0f / tau;
    for (int64_t i = 0; i < B; ++i) {
        for (int64_t j = 0; j < B; ++j) {
            float dot = 0.0f;
            for (int64_t d = 0; d < D; ++d) {
                dot += a[i * D + d] * b[j * D + d];
            }
            const float shifted = dot * na[i] * nb[j] / tau - top;
            if (i == j) own[i] = shifted;
            across[i] += std::exp(shifted);
            down[j] += std::exp(shifted);
        }
    }
    float total = 0.0f;
    for (int64_t i = 0; i < B; ++i) {
        rows[i] = (std::log(across[i]) + std::log(down[i])) / 2 - own[i];
        total += rows[i];
    }
    *loss = total / B;
}
