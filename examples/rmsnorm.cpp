// y = x / sqrt(mean(x * x) + eps) * weight, for each row of x.
// The sums are doubles: a float that grows over thousands of addends loses what the reference keeps.
extern "C" void kernel(const float* x, const float* weight, float eps, float* y, int64_t T, int64_t D) {
    for (int64_t t = 0; t < T; ++t) {
        double squares = 0.0;
        for (int64_t d = 0; d < D; ++d) {
            squares += x[t * D + d] * x[t * D + d];
        }
        const float scale = 1.0 / std::sqrt(squares / D + eps);
        for (int64_t d = 0; d < D; ++d) {
            y[t * D + d] = x[t * D + d] * scale * weight[d];
        }
    }
}
