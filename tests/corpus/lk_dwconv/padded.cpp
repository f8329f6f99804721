// A frame of zeros around each plane in place of tests; planes are shared among threads.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y, int64_t B, int64_t C,
                       int64_t H, int64_t W) {
    const int64_t S = W + 12;
#pragma omp parallel for schedule(static)
    for (int64_t plane = 0; plane < B * C; ++plane) {
        const float* taps = weight + plane % C * 169;
        std::vector<float> padded((H + 12) * S, 0.0f);
        for (int64_t i = 0; i < H; ++i) {
            std::copy_n(x + (plane * H + i) * W, W, &padded[(i + 6) * S + 6]);
        }
        for (int64_t i = 0; i < H; ++i) {
            float* out = y + (plane * H + i) * W;
            std::fill(out, out + W, bias[plane % C]);
            for (int64_t k = 0; k < 13; ++k) {
                for (int64_t l = 0; l < 13; ++l) {
                    const float tap = taps[k * 13 + l];
                    const float* from = &padded[(i + k) * S + l];
                    for (int64_t j = 0; j < W; ++j) {
                        out[j] += tap * from[j];
                    }
                }
            }
        }
    }
}
