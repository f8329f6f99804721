// Rows shared among threads, each with sums for the weight of its own; sixteen lanes of float in a row.
extern "C" void kernel(const float* x, const float* weight, float eps, const float* grad_y, float* grad_x,
                       float* grad_weight, int64_t T, int64_t D) {
    std::fill(grad_weight, grad_weight + D, 0.0f);
#pragma omp parallel
    {
        std::vector<float> own(D, 0.0f);
#pragma omp for schedule(static)
        for (int64_t t = 0; t < T; ++t) {
            const float *row = x + t * D, *grad = grad_y + t * D;
            float squares[16] = {}, dots[16] = {};
            for (int64_t d = 0; d < D; ++d) {
                squares[d % 16] += row[d] * row[d];
                dots[d % 16] += row[d] * (grad[d] * weight[d]);
            }
            double square = 0.0, dot = 0.0;
            for (int64_t lane = 0; lane < 16; ++lane) {
                square += squares[lane];
                dot += dots[lane];
            }
            const double r = 1.0 / std::sqrt(square / D + eps);
            const float scale = r, shared = r * r * dot / D;
            for (int64_t d = 0; d < D; ++d) {
                grad_x[t * D + d] = scale * (grad[d] * weight[d] - shared * row[d]);
                own[d] += grad[d] * (row[d] * scale);
            }
        }
#pragma omp critical
        for (int64_t d = 0; d < D; ++d) {
            grad_weight[d] += own[d];
        }
    }
}
