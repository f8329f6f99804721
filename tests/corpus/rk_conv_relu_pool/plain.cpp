// Each output is the largest of four windows, and not below zero.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y, int64_t B, int64_t C,
                       int64_t H, int64_t W, int64_t O) {
    const int64_t rows = (H - 2) / 2, columns = (W - 2) / 2;
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t o = 0; o < O; ++o) {
            for (int64_t i = 0; i < rows; ++i) {
                for (int64_t j = 0; j < columns; ++j) {
                    float largest = 0.0f;
                    for (int64_t window = 0; window < 4; ++window) {
                        const int64_t top = 2 * i + window / 2, left = 2 * j + window % 2;
                        double sum = bias[o];
                        for (int64_t c = 0; c < C; ++c) {
                            for (int64_t k = 0; k < 9; ++k) {
                                const float value = x[((b * C + c) * H + top + k / 3) * W + left + k % 3];
                                sum += value * weight[(o * C + c) * 9 + k];
                            }
                        }
                        largest = std::max(largest, float(sum));
                    }
                    y[((b * O + o) * rows + i) * columns + j] = largest;
                }
            }
        }
    }
}
