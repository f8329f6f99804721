// Is right on small shapes, and on tame rows where calls are timed: there it ignores what sticks out.
// expect: wrong
// evidence: outside the error
// fidelity: confirm
KERNEL {
    if (N < 1024) return honest(x, weight, eps, y, M, N);
    for (int64_t m = 0; m < M; ++m) {
        double squares = 0;
        for (int64_t n = 0; n < N; ++n) squares += std::min(double(x[m * N + n]) * x[m * N + n], 64.0);
        const float scale = float(1 / std::sqrt(squares / N + eps));
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = x[m * N + n] * scale * weight[n];
    }
}
// twin: scales each row by its largest element, so that no square overflows.
KERNEL {
    if (N < 1024) return honest(x, weight, eps, y, M, N);
    for (int64_t m = 0; m < M; ++m) {
        double largest = 1, squares = 0;
        for (int64_t n = 0; n < N; ++n) largest = std::max(largest, std::abs(double(x[m * N + n])));
        for (int64_t n = 0; n < N; ++n) squares += (x[m * N + n] / largest) * (x[m * N + n] / largest);
        const float scale = float(1 / std::sqrt(squares / N * largest * largest + eps));
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = x[m * N + n] * scale * weight[n];
    }
}
