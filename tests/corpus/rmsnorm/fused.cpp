// Rows shared among threads, sixteen sums in float for each row.
extern "C" void kernel(const float* x, const float* weight, float eps, float* y, int64_t T, int64_t D) {
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < T; ++t) {
        const float* row = x + t * D;
        float lanes[16] = {};
        const int64_t whole = D / 16 * 16;
        for (int64_t d = 0; d < whole; d += 16) {
            for (int64_t lane = 0; lane < 16; ++lane) {
                lanes[lane] += row[d + lane] * row[d + lane];
            }
        }
        double squares = 0.0;
        for (float lane : lanes) {
            squares += lane;
        }
        for (int64_t d = whole; d < D; ++d) {
            squares += double(row[d]) * row[d];
        }
        const float scale = 1.0 / std::sqrt(squares / D + eps);
        for (int64_t d = 0; d < D; ++d) {
            y[t * D + d] = row[d] * scale * weight[d];
        }
    }
}
