// Conjugate gradients as in the book, one vector operation after the other.
static double dot(const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0.0;
    for (size_t i = 0; i < a.size(); ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}

extern "C" void kernel(const double* diagonal, const double* b, int64_t iterations, double* x, int64_t G) {
    const int64_t N = G * G;
    std::vector<double> r(b, b + N), p = r, q(N);
    std::fill(x, x + N, 0.0);
    double rs = dot(r, r);
    for (int64_t iteration = 0; iteration < iterations; ++iteration) {
        for (int64_t i = 0; i < G; ++i) {
            for (int64_t j = 0; j < G; ++j) {
                const int64_t at = i * G + j;
                double value = diagonal[at] * p[at];
                if (i > 0) value -= p[at - G];
                if (i < G - 1) value -= p[at + G];
                if (j > 0) value -= p[at - 1];
                if (j < G - 1) value -= p[at + 1];
                q[at] = value;
            }
        }
        const double alpha = rs / dot(p, q);
        for (int64_t at = 0; at < N; ++at) {
            x[at] += alpha * p[at];
            r[at] -= alpha * q[at];
        }
        const double old = rs;
        rs = dot(r, r);
        for (int64_t at = 0; at < N; ++at) {
            p[at] = r[at] + rs / old * p[at];
        }
    }
}
