// Each channel with a window of its own, 13 by 13; outside of the image there are zeros.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y, int64_t B, int64_t C,
                       int64_t H, int64_t W) {
    for (int64_t plane = 0; plane < B * C; ++plane) {
        const float* in = x + plane * H * W;
        for (int64_t i = 0; i < H; ++i) {
            for (int64_t j = 0; j < W; ++j) {
                double sum = bias[plane % C];
                for (int64_t k = 0; k < 13; ++k) {
                    for (int64_t l = 0; l < 13; ++l) {
                        const int64_t row = i + k - 6, column = j + l - 6;
                        if (row >= 0 && row < H && column >= 0 && column < W) {
                            sum += in[row * W + column] * weight[(plane % C * 13 + k) * 13 + l];
                        }
                    }
                }
                y[plane * H * W + i * W + j] = sum;
            }
        }
    }
}
