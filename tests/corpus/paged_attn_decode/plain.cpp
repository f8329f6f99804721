// Scores of one head through the page table, their softmax, and the weighted sum of values.
extern "C" void kernel(const float16* q, const float16* keys, const float16* values, const int32_t* table,
                       const int32_t* lengths, float16* out, int64_t B, int64_t K, int64_t G, int64_t D, int64_t P,
                       int64_t L, int64_t N) {
    for (int64_t b = 0; b < B; ++b) {
        const int64_t length = lengths[b];
        std::vector<float> weight(length);
        for (int64_t h = 0; h < K * G; ++h) {
            const float16* query = q + (b * K * G + h) * D;
            float largest = -INFINITY;
            for (int64_t s = 0; s < length; ++s) {
                const float16* key = keys + ((table[b * N + s / L] * L + s % L) * K + h / G) * D;
                float dot = 0.0f;
                for (int64_t d = 0; d < D; ++d) {
                    dot += float(query[d]) * float(key[d]);
                }
                weight[s] = dot / std::sqrt(float(D));
                largest = std::max(largest, weight[s]);
            }
            float sum = 0.0f;
            for (int64_t s = 0; s < length; ++s) {
                weight[s] = std::exp(weight[s] - largest);
                sum += weight[s];
            }
            for (int64_t d = 0; d < D; ++d) {
                float mixed = 0.0f;
                for (int64_t s = 0; s < length; ++s) {
                    const int64_t page = table[b * N + s / L];
                    mixed += weight[s] * float(values[((page * L + s % L) * K + h / G) * D + d]);
                }
                out[(b * K * G + h) * D + d] = mixed / sum;
            }
        }
    }
}
