// The first of the nearest codes, by differences.
extern "C" void kernel(const float* z, const float* codes, int32_t* index, float* code, int64_t N, int64_t D,
                       int64_t K) {
    for (int64_t n = 0; n < N; ++n) {
        int64_t best = 0;
        double least = INFINITY;
        for (int64_t k = 0; k < K; ++k) {
            double distance = 0.0;
            for (int64_t d = 0; d < D; ++d) {
                const double difference = double(z[n * D + d]) - codes[k * D + d];
                distance += difference * difference;
            }
            if (distance < least) {
                least = distance;
                best = k;
            }
        }
        index[n] = best;
        std::copy_n(codes + best * D, D, code + n * D);
    }
}
