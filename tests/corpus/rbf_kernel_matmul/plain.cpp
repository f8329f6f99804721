// out = exp(-|x - y|^2 / 2) V, by differences.
extern "C" void kernel(const float* X, const float* Y, const float* V, float* out, int64_t N, int64_t D, int64_t M,
                       int64_t C) {
    std::vector<double> sums(C);
    for (int64_t n = 0; n < N; ++n) {
        std::fill(sums.begin(), sums.end(), 0.0);
        for (int64_t m = 0; m < M; ++m) {
            double distance = 0.0;
            for (int64_t d = 0; d < D; ++d) {
                const double difference = double(X[n * D + d]) - Y[m * D + d];
                distance += difference * difference;
            }
            const double weight = std::exp(-distance / 2);
            for (int64_t c = 0; c < C; ++c) {
                sums[c] += weight * V[m * C + c];
            }
        }
        std::copy(sums.begin(), sums.end(), out + n * C);
    }
}
