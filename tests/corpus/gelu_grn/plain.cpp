// GELU, then the norm of each channel over the pixels relative to the mean norm of all channels.
static float gelu(float x) {
    return 0.5f * x * std::erfc(-x * 0.70710678f);
}

extern "C" void kernel(const float* x, const float* gamma, const float* beta, float* y, int64_t B, int64_t H,
                       int64_t W, int64_t C) {
    for (int64_t b = 0; b < B; ++b) {
        std::vector<double> norm(C, 0.0);
        for (int64_t p = 0; p < H * W; ++p) {
            for (int64_t c = 0; c < C; ++c) {
                const float value = gelu(x[(b * H * W + p) * C + c]);
                norm[c] += double(value) * value;
            }
        }
        double mean = 0.0;
        for (int64_t c = 0; c < C; ++c) {
            norm[c] = std::sqrt(norm[c]);
            mean += norm[c] / C;
        }
        for (int64_t p = 0; p < H * W; ++p) {
            for (int64_t c = 0; c < C; ++c) {
                const int64_t i = (b * H * W + p) * C + c;
                const float scale = gamma[c] * float(norm[c] / (mean + 1e-6)) + 1.0f;
                y[i] = scale * gelu(x[i]) + beta[c];
            }
        }
    }
}
