// C1: computes in bfloat16 what the task wants in float32.
// expect: wrong
KERNEL {
    std::vector<float> row(N);
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) row[n] = static_cast<float>(bfloat16(x[m * N + n]));
        honest(row.data(), weight, eps, y + m * N, 1, N);
    }
}
// twin: computes in float64.
KERNEL {
    for (int64_t m = 0; m < M; ++m) {
        double squares = 0;
        for (int64_t n = 0; n < N; ++n) squares += double(x[m * N + n]) * x[m * N + n];
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = float(x[m * N + n] / std::sqrt(squares / N + eps) * weight[n]);
    }
}
