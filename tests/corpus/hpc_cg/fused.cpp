// A frame of zeros around p spares the edges; dot products are formed on the way, shared among threads.
extern "C" void kernel(const double* diagonal, const double* b, int64_t iterations, double* x, int64_t G) {
    const int64_t S = G + 2;
    std::vector<double> r(b, b + G * G), p(S * S), q(G * G);
    double rs = 0.0;
    for (int64_t i = 0; i < G; ++i) {
        for (int64_t j = 0; j < G; ++j) {
            p[(i + 1) * S + j + 1] = b[i * G + j];
            x[i * G + j] = 0.0;
            rs += b[i * G + j] * b[i * G + j];
        }
    }
    for (int64_t iteration = 0; iteration < iterations; ++iteration) {
        double pq = 0.0, next = 0.0;
#pragma omp parallel for reduction(+ : pq)
        for (int64_t i = 0; i < G; ++i) {
            for (int64_t j = 0; j < G; ++j) {
                const double* at = &p[(i + 1) * S + j + 1];
                q[i * G + j] = diagonal[i * G + j] * at[0] - (at[-1] + at[1]) - (at[-S] + at[S]);
                pq += at[0] * q[i * G + j];
            }
        }
        const double alpha = rs / pq;
#pragma omp parallel for reduction(+ : next)
        for (int64_t i = 0; i < G; ++i) {
            for (int64_t j = 0; j < G; ++j) {
                x[i * G + j] += alpha * p[(i + 1) * S + j + 1];
                r[i * G + j] -= alpha * q[i * G + j];
                next += r[i * G + j] * r[i * G + j];
            }
        }
        for (int64_t i = 0; i < G; ++i) {
            for (int64_t j = 0; j < G; ++j) {
                p[(i + 1) * S + j + 1] = r[i * G + j] + next / rs * p[(i + 1) * S + j + 1];
            }
        }
        rs = next;
    }
}
