// One parallel region with one barrier: the products of a row of gate and up, and then those of down.
static float product(const float* a, const float* b, int64_t count) {
    float sums[16] = {};
    int64_t i = 0;
    for (; i + 16 <= count; i += 16)
        for (int64_t l = 0; l < 16; ++l) sums[l] += a[i + l] * b[i + l];
    double sum = 0.0;
    for (float one : sums) sum += one;
    for (; i < count; ++i) sum += double(a[i]) * b[i];
    return sum;
}

extern "C" void kernel(const float* x, const float* gate, const float* up, const float* down, float* y, int64_t B, int64_t D, int64_t F) {
    std::vector<float> hidden(B * F);
#pragma omp parallel
    {
#pragma omp for schedule(static)
        for (int64_t f = 0; f < F; ++f)
            for (int64_t b = 0; b < B; ++b) {
                const float g = product(x + b * D, gate + f * D, D);
                hidden[b * F + f] = g / (1.0f + std::exp(-g)) * product(x + b * D, up + f * D, D);
            }
#pragma omp for schedule(static)
        for (int64_t d = 0; d < D; ++d)
            for (int64_t b = 0; b < B; ++b) y[b * D + d] = product(hidden.data() + b * F, down + d * F, F);
    }
}
