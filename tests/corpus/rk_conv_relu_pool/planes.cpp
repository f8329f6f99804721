// A whole plane of the convolution first, tap by tap in float, then the pool; planes are shared among threads.
extern "C" void kernel(const float* x, const float* weight, const float* bias, float* y, int64_t B, int64_t C,
                       int64_t H, int64_t W, int64_t O) {
    const int64_t rows = (H - 2) / 2, columns = (W - 2) / 2, V = W - 2;
#pragma omp parallel for schedule(static)
    for (int64_t plane = 0; plane < B * O; ++plane) {
        const int64_t b = plane / O, o = plane % O;
        std::vector<float> full((H - 2) * V, bias[o]);
        for (int64_t c = 0; c < C; ++c) {
            for (int64_t k = 0; k < 9; ++k) {
                const float tap = weight[(o * C + c) * 9 + k];
                const float* from = x + ((b * C + c) * H + k / 3) * W + k % 3;
                for (int64_t i = 0; i < H - 2; ++i) {
                    for (int64_t j = 0; j < V; ++j) {
                        full[i * V + j] += tap * from[i * W + j];
                    }
                }
            }
        }
        for (int64_t i = 0; i < rows; ++i) {
            for (int64_t j = 0; j < columns; ++j) {
                const float* at = &full[2 * i * V + 2 * j];
                const float largest = std::max(std::max(at[0], at[1]), std::max(at[V], at[V + 1]));
                y[(plane * rows + i) * columns + j] = std::max(largest, 0.0f);
            }
        }
    }
}
