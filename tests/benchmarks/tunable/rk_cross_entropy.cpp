// log(sum(exp(x - max))) + max - x[target] of each row, and their mean; LANES partial maxima and sums.
// evokern: tunable LANES in {16, 8, 32, 64, 128}
// evokern: tunable BLOCK in {256, 64, 128, 512, 1024}
// evokern: tunable CHUNK in {8, 1, 2, 16, 64}
// evokern: tunable SCHEDULE in {static, dynamic}
// evokern: flag WIDTH in {none, -mprefer-vector-width=512}
// evokern: where LANES <= BLOCK
extern "C" void kernel(const float* logits, const int64_t* target, float* loss, float* rows, int64_t B, int64_t C) {
#pragma omp parallel for schedule(SCHEDULE, CHUNK)
    for (int64_t b = 0; b < B; ++b) {
        const float* row = logits + b * C;
        float largest[LANES];
        std::fill_n(largest, LANES, row[0]);
        const int64_t whole = C / LANES * LANES;
        for (int64_t c = 0; c < whole; c += LANES) {
#pragma omp simd
            for (int64_t l = 0; l < LANES; ++l) {
                largest[l] = row[c + l] > largest[l] ? row[c + l] : largest[l];
            }
        }
        float most = *std::max_element(largest, largest + LANES);
        for (int64_t c = whole; c < C; ++c) {
            most = std::max(most, row[c]);
        }
        double sum = 0.0;
        for (int64_t start = 0; start < C; start += BLOCK) {
            const int64_t width = std::min<int64_t>(BLOCK, C - start);
            float powers[BLOCK];
            for (int64_t c = 0; c < width; ++c) {
                powers[c] = std::exp(row[start + c] - most);
            }
            for (int64_t c = 0; c < width; ++c) {
                sum += powers[c];
            }
        }
        rows[b] = std::log(sum) + (most - row[target[b]]);
    }
    double total = 0.0;
    for (int64_t b = 0; b < B; ++b) {
        total += rows[b];
    }
    *loss = total / B;
}
