// One pass over keys and values with a running maximum, as flash attention does; heads are shared among threads.
extern "C" void kernel(const float* q, const float* keys, const float* values, const int32_t* lengths, float* out,
                       int64_t B, int64_t K, int64_t G, int64_t D, int64_t S) {
    const float scale = 1.0f / std::sqrt(float(D));
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t b = 0; b < B; ++b) {
        for (int64_t h = 0; h < K * G; ++h) {
            const float* query = q + (b * K * G + h) * D;
            std::vector<float> mixed(D, 0.0f);
            float largest = -INFINITY, sum = 0.0f;
            for (int64_t s = 0; s < lengths[b]; ++s) {
                const int64_t row = ((b * S + s) * K + h / G) * D;
                float dot = 0.0f;
                for (int64_t d = 0; d < D; ++d) {
                    dot += query[d] * keys[row + d];
                }
                dot *= scale;
                const float top = std::max(largest, dot);
                const float shrink = std::exp(largest - top), weight = std::exp(dot - top);
                sum = sum * shrink + weight;
                for (int64_t d = 0; d < D; ++d) {
                    mixed[d] = mixed[d] * shrink + weight * values[row + d];
                }
                largest = top;
            }
            for (int64_t d = 0; d < D; ++d) {
                out[(b * K * G + h) * D + d] = mixed[d] / sum;
            }
        }
    }
}
