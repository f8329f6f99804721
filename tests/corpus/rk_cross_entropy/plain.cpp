// log(sum(exp(x - max))) + max - x[target] of each row, and their mean.
extern "C" void kernel(const float* logits, const int64_t* target, float* loss, float* rows, int64_t B, int64_t C) {
    double total = 0.0;
    for (int64_t b = 0; b < B; ++b) {
        const float* row = logits + b * C;
        float largest = row[0];
        for (int64_t c = 1; c < C; ++c) {
            largest = std::max(largest, row[c]);
        }
        double sum = 0.0;
        for (int64_t c = 0; c < C; ++c) {
            sum += std::exp(row[c] - largest);
        }
        rows[b] = std::log(sum) + (largest - row[target[b]]);
        total += rows[b];
    }
    *loss = total / B;
}
