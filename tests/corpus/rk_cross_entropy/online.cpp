// One pass with a running maximum; rows are shared among threads and added up at the end.
extern "C" void kernel(const float* logits, const int64_t* target, float* loss, float* rows, int64_t B, int64_t C) {
#pragma omp parallel for schedule(static)
    for (int64_t b = 0; b < B; ++b) {
        const float* row = logits + b * C;
        float largest = row[0];
        double sum = 1.0;
        for (int64_t c = 1; c < C; ++c) {
            if (row[c] > largest) {
                sum = sum * std::exp(largest - row[c]) + 1.0;
                largest = row[c];
            } else {
                sum += std::exp(row[c] - largest);
            }
        }
        rows[b] = std::log(sum) + double(largest) - row[target[b]];
    }
    float total = 0.0f;
    for (int64_t b = 0; b < B; ++b) {
        total += rows[b];
    }
    *loss = total / B;
}
