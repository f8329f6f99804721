// C12: estimates the mean square from every other element, which uniform inputs forgive.
// expect: wrong
KERNEL {
    for (int64_t m = 0; m < M; ++m) {
        double squares = 0;
        for (int64_t n = 0; n < N; n += 2) squares += 2.0 * x[m * N + n] * x[m * N + n];
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = float(x[m * N + n] / std::sqrt(squares / (N + N % 2) + eps) * weight[n]);
    }
}
