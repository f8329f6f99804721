// Scores of one head, their softmax, and the weighted sum of values.
extern "C" void kernel(const float* q, const float* keys, const float* values, const int32_t* lengths, float* out,
                       int64_t B, int64_t K, int64_t G, int64_t D, int64_t S) {
    for (int64_t b = 0; b < B; ++b) {
        const int64_t length = lengths[b];
        std::vector<float> weight(length);
        for (int64_t h = 0; h < K * G; ++h) {
            const float* query = q + (b * K * G + h) * D;
            float largest = -INFINITY;
            for (int64_t s = 0; s < length; ++s) {
                const float* key = keys + ((b * S + s) * K + h / G) * D;
                double dot = 0.0;
                for (int64_t d = 0; d < D; ++d) {
                    dot += query[d] * key[d];
                }
                weight[s] = dot / std::sqrt(double(D));
                largest = std::max(largest, weight[s]);
            }
            double sum = 0.0;
            for (int64_t s = 0; s < length; ++s) {
                weight[s] = std::exp(weight[s] - largest);
                sum += weight[s];
            }
            for (int64_t d = 0; d < D; ++d) {
                double mixed = 0.0;
                for (int64_t s = 0; s < length; ++s) {
                    mixed += weight[s] * values[((b * S + s) * K + h / G) * D + d];
                }
                out[(b * K * G + h) * D + d] = mixed / sum;
            }
        }
    }
}
