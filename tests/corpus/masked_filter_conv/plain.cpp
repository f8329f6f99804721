// A filter that is off gives zeros; outside of the image there are zeros.
extern "C" void kernel(const float* x, const float* weight, const bool* mask, float* y, int64_t B, int64_t I, int64_t H,
                       int64_t W, int64_t O) {
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t o = 0; o < O; ++o) {
            for (int64_t i = 0; i < H; ++i) {
                for (int64_t j = 0; j < W; ++j) {
                    double sum = 0.0;
                    for (int64_t c = 0; c < I; ++c) {
                        for (int64_t k = 0; k < 9; ++k) {
                            const int64_t row = i + k / 3 - 1, column = j + k % 3 - 1;
                            if (row >= 0 && row < H && column >= 0 && column < W) {
                                sum += x[((b * I + c) * H + row) * W + column] * weight[(o * I + c) * 9 + k];
                            }
                        }
                    }
                    y[((b * O + o) * H + i) * W + j] = mask[b * O + o] ? sum : 0.0;
                }
            }
        }
    }
}
