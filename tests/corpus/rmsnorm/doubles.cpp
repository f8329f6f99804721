// Everything in double, rounded once.
extern "C" void kernel(const float* x, const float* weight, float eps, float* y, int64_t T, int64_t D) {
    for (int64_t t = 0; t < T; ++t) {
        double squares = 0.0;
        for (int64_t d = 0; d < D; ++d) {
            squares += double(x[t * D + d]) * x[t * D + d];
        }
        const double scale = 1.0 / std::sqrt(squares / D + double(eps));
        for (int64_t d = 0; d < D; ++d) {
            y[t * D + d] = x[t * D + d] * scale * weight[d];
        }
    }
}
