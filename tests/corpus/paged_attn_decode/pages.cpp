// Page by page with a running maximum; the heads of a sequence are shared among threads.
extern "C" void kernel(const float16* q, const float16* keys, const float16* values, const int32_t* table,
                       const int32_t* lengths, float16* out, int64_t B, int64_t K, int64_t G, int64_t D, int64_t P,
                       int64_t L, int64_t N) {
    const float scale = 1.0f / std::sqrt(float(D));
#pragma omp parallel for schedule(dynamic)
    for (int64_t head = 0; head < B * K * G; ++head) {
        const int64_t b = head / (K * G), k = head % (K * G) / G;
        std::vector<float> mixed(D, 0.0f), weight(L);
        float largest = -INFINITY, sum = 0.0f;
        for (int64_t first = 0; first < lengths[b]; first += L) {
            const int64_t count = std::min<int64_t>(L, lengths[b] - first);
            const int64_t page = table[b * N + first / L] * L;
            float top = largest;
            for (int64_t s = 0; s < count; ++s) {
                float dot = 0.0f;
                for (int64_t d = 0; d < D; ++d) {
                    dot += float(q[head * D + d]) * float(keys[((page + s) * K + k) * D + d]);
                }
                weight[s] = dot * scale;
                top = std::max(top, weight[s]);
            }
            const float shrink = std::exp(largest - top);
            sum *= shrink;
            for (float& value : mixed) {
                value *= shrink;
            }
            for (int64_t s = 0; s < count; ++s) {
                const float share = std::exp(weight[s] - top);
                sum += share;
                for (int64_t d = 0; d < D; ++d) {
                    mixed[d] += share * float(values[((page + s) * K + k) * D + d]);
                }
            }
            largest = top;
        }
        for (int64_t d = 0; d < D; ++d) {
            out[head * D + d] = mixed[d] / sum;
        }
    }
}
