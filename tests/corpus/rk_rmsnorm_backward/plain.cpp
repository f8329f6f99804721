// With r = 1 / sqrt(mean(x^2) + eps) and g = grad_y * weight: grad_x = r g - r^3 x mean(g x), grad_weight = sum(grad_y x r).
extern "C" void kernel(const float* x, const float* weight, float eps, const float* grad_y, float* grad_x,
                       float* grad_weight, int64_t T, int64_t D) {
    std::vector<double> sums(D, 0.0);
    for (int64_t t = 0; t < T; ++t) {
        double squares = 0.0, dot = 0.0;
        for (int64_t d = 0; d < D; ++d) {
            const double value = x[t * D + d];
            squares += value * value;
            dot += value * grad_y[t * D + d] * weight[d];
        }
        const double r = 1.0 / std::sqrt(squares / D + eps);
        const double shared = r * r * r * dot / D;
        for (int64_t d = 0; d < D; ++d) {
            const int64_t i = t * D + d;
            grad_x[i] = r * grad_y[i] * weight[d] - shared * x[i];
            sums[d] += grad_y[i] * x[i] * r;
        }
    }
    std::copy(sums.begin(), sums.end(), grad_weight);
}
