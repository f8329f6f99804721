// All similarities, then the log-sum-exp of each row and of each column against the diagonal.
static void normalise(const float* from, std::vector<double>& to, int64_t B, int64_t D) {
    for (int64_t i = 0; i < B; ++i) {
        double squares = 0.0;
        for (int64_t d = 0; d < D; ++d) {
            squares += double(from[i * D + d]) * from[i * D + d];
        }
        const double norm = std::max(std::sqrt(squares), 1e-12);
        for (int64_t d = 0; d < D; ++d) {
            to[i * D + d] = from[i * D + d] / norm;
        }
    }
}

static double log_sum_exp(const double* x, int64_t count, int64_t stride) {
    double largest = x[0], sum = 0.0;
    for (int64_t i = 0; i < count; ++i) {
        largest = std::max(largest, x[i * stride]);
    }
    for (int64_t i = 0; i < count; ++i) {
        sum += std::exp(x[i * stride] - largest);
    }
    return largest + std::log(sum);
}

extern "C" void kernel(const float* a, const float* b, float tau, float* loss, float* rows, int64_t B, int64_t D) {
    std::vector<double> p(B * D), q(B * D), s(B * B);
    normalise(a, p, B, D);
    normalise(b, q, B, D);
    for (int64_t i = 0; i < B; ++i) {
        for (int64_t j = 0; j < B; ++j) {
            double dot = 0.0;
            for (int64_t d = 0; d < D; ++d) {
                dot += p[i * D + d] * q[j * D + d];
            }
            s[i * B + j] = dot / tau;
        }
    }
    double total = 0.0;
    for (int64_t i = 0; i < B; ++i) {
        const double forth = log_sum_exp(&s[i * B], B, 1), back = log_sum_exp(&s[i], B, B);
        const double row = (forth + back) / 2 - s[i * B + i];
        rows[i] = row;
        total += row;
    }
    *loss = total / B;
}
