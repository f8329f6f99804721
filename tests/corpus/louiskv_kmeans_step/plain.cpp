// Each key goes to the centroid of the largest cosine; then the mean of each cluster, an empty one keeps its centroid.
static double norm(const float* x, int64_t D) {
    double squares = 0.0;
    for (int64_t d = 0; d < D; ++d) {
        squares += double(x[d]) * x[d];
    }
    return std::max(std::sqrt(squares), 1e-12);
}

extern "C" void kernel(const float* keys, const float* centroids, int32_t* assignment, float* means, int64_t H,
                       int64_t S, int64_t D, int64_t C) {
    for (int64_t h = 0; h < H; ++h) {
        std::vector<double> sums(C * D, 0.0);
        std::vector<int64_t> counts(C, 0);
        for (int64_t s = 0; s < S; ++s) {
            const float* key = keys + (h * S + s) * D;
            int64_t best = 0;
            double most = -INFINITY;
            for (int64_t c = 0; c < C; ++c) {
                const float* centroid = centroids + (h * C + c) * D;
                double dot = 0.0;
                for (int64_t d = 0; d < D; ++d) {
                    dot += double(key[d]) * centroid[d];
                }
                const double cosine = dot / norm(key, D) / norm(centroid, D);
                if (cosine > most) {
                    most = cosine;
                    best = c;
                }
            }
            assignment[h * S + s] = best;
            counts[best] += 1;
            for (int64_t d = 0; d < D; ++d) {
                sums[best * D + d] += key[d];
            }
        }
        for (int64_t c = 0; c < C; ++c) {
            for (int64_t d = 0; d < D; ++d) {
                const int64_t i = (h * C + c) * D + d;
                means[i] = counts[c] > 0 ? float(sums[c * D + d] / counts[c]) : centroids[i];
            }
        }
    }
}
