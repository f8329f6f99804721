// A frame of zeros around each plane in place of tests; ROWS rows of the result are summed over TAPS taps at a time.
// evokern: tunable ROWS in {1, 2, 4, 7, 14, 28}
// evokern: tunable COLUMNS in {32, 16, 64}
// evokern: tunable TAPS in {13, 1, 4, 7}
// evokern: tunable SCHEDULE in {static, dynamic}
// evokern: flag WIDTH in {none, -mprefer-vector-width=512}
// evokern: flag UNROLL in {none, -funroll-loops}
// evokern: where ROWS * COLUMNS * 4 <= 64 * vector_bytes
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y, int64_t B, int64_t C,
                       int64_t H, int64_t W) {
    const int64_t S = (W + COLUMNS - 1) / COLUMNS * COLUMNS + 12;
#pragma omp parallel for schedule(SCHEDULE)
    for (int64_t plane = 0; plane < B * C; ++plane) {
        const float* taps = weight + plane % C * 169;
        std::vector<float> padded((H + 12 + ROWS) * S, 0.0f);
        for (int64_t i = 0; i < H; ++i) {
            std::copy_n(x + (plane * H + i) * W, W, &padded[(i + 6) * S + 6]);
        }
        for (int64_t i0 = 0; i0 < H; i0 += ROWS) {
            for (int64_t j0 = 0; j0 < W; j0 += COLUMNS) {
                float sums[ROWS][COLUMNS];
                std::fill_n(&sums[0][0], ROWS * COLUMNS, bias[plane % C]);
                for (int64_t k = 0; k < 13; ++k) {
                    for (int64_t l0 = 0; l0 < 13; l0 += TAPS) {
                        for (int64_t i = 0; i < ROWS; ++i) {
                            for (int64_t l = l0; l < std::min<int64_t>(l0 + TAPS, 13); ++l) {
#pragma omp simd
                                for (int64_t j = 0; j < COLUMNS; ++j) {
                                    sums[i][j] += taps[k * 13 + l] * padded[(i0 + i + k) * S + j0 + j + l];
                                }
                            }
                        }
                    }
                }
                for (int64_t i = 0; i < std::min<int64_t>(ROWS, H - i0); ++i) {
                    std::copy_n(sums[i], std::min<int64_t>(COLUMNS, W - j0), y + (plane * H + i0 + i) * W + j0);
                }
            }
        }
    }
}
