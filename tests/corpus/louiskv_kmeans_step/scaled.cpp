// Centroids are normalised once, and the length of a key does not matter to its choice; keys shared among threads.
extern "C" void kernel(const float* keys, const float* centroids, int32_t* assignment, float* means, int64_t H,
                       int64_t S, int64_t D, int64_t C) {
    for (int64_t h = 0; h < H; ++h) {
        std::vector<float> unit(C * D);
        for (int64_t c = 0; c < C; ++c) {
            const float* centroid = centroids + (h * C + c) * D;
            float squares = 0.0f;
            for (int64_t d = 0; d < D; ++d) {
                squares += centroid[d] * centroid[d];
            }
            const float scale = 1.0f / std::max(std::sqrt(squares), 1e-12f);
            for (int64_t d = 0; d < D; ++d) {
                unit[c * D + d] = centroid[d] * scale;
            }
        }
#pragma omp parallel for schedule(static)
        for (int64_t s = 0; s < S; ++s) {
            int64_t best = C - 1;
            float most = -INFINITY;
            for (int64_t c = C - 1; c >= 0; --c) {
                float dot = 0.0f;
                for (int64_t d = 0; d < D; ++d) {
                    dot += keys[(h * S + s) * D + d] * unit[c * D + d];
                }
                if (dot > most) {
                    most = dot;
                    best = c;
                }
            }
            assignment[h * S + s] = best;
        }
        for (int64_t c = 0; c < C; ++c) {
            float* mean = means + (h * C + c) * D;
            std::fill(mean, mean + D, 0.0f);
            int64_t count = 0;
            for (int64_t s = 0; s < S; ++s) {
                if (assignment[h * S + s] != c) continue;
                ++count;
                for (int64_t d = 0; d < D; ++d) {
                    mean[d] += keys[(h * S + s) * D + d];
                }
            }
            for (int64_t d = 0; d < D; ++d) {
                mean[d] = count > 0 ? mean[d] / count : centroids[(h * C + c) * D + d];
            }
        }
    }
}
