// Only filters that are on, tap by tap in float; the others are filled with zeros. Planes are shared among threads.
extern "C" void kernel(const float* x, const float* weight, const bool* mask, float* y, int64_t B, int64_t I, int64_t H,
                       int64_t W, int64_t O) {
#pragma omp parallel for schedule(dynamic)
    for (int64_t plane = 0; plane < B * O; ++plane) {
        float* out = y + plane * H * W;
        std::fill(out, out + H * W, 0.0f);
        if (!mask[plane]) continue;
        for (int64_t c = 0; c < I; ++c) {
            const float* in = x + (plane / O * I + c) * H * W;
            for (int64_t k = 0; k < 9; ++k) {
                const float tap = weight[(plane % O * I + c) * 9 + k];
                const int64_t down = k / 3 - 1, right = k % 3 - 1;
                for (int64_t i = std::max<int64_t>(0, -down); i < std::min(H, H - down); ++i) {
                    for (int64_t j = std::max<int64_t>(0, -right); j < std::min(W, W - right); ++j) {
                        out[i * W + j] += tap * in[(i + down) * W + j + right];
                    }
                }
            }
        }
    }
}
