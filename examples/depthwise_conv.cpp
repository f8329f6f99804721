// y[b, c] = the plane x[b, c], zeros around it, convolved with the 7 x 7 weights of its channel, plus a bias.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y,
                       int64_t B, int64_t C, int64_t H, int64_t W) {
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t c = 0; c < C; ++c) {
            std::vector<float> padded((H + 6) * (W + 6), 0.0f);
            for (int64_t h = 0; h < H; ++h) {
                for (int64_t w = 0; w < W; ++w) {
                    padded[(h + 3) * (W + 6) + w + 3] = x[((b * C + c) * H + h) * W + w];
                }
            }
            for (int64_t h = 0; h < H; ++h) {
                for (int64_t w = 0; w < W; ++w) {
                    float sum = bias[c];
                    for (int64_t i = 0; i < 7; ++i) {
                        for (int64_t j = 0; j < 7; ++j) {
                            sum += weight[(c * 7 + i) * 7 + j] * padded[(h + i) * (W + 6) + w + j];
                        }
                    }
                    y[((b * C + c) * H + h) * W + w] = sum;
                }
            }
        }
    }
}
