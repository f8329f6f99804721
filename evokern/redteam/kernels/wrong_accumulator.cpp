// Never sets the accumulator back to zero.
// expect: wrong
static double squares;
KERNEL {
    for (int64_t m = 0; m < M; ++m) {
        for (int64_t n = 0; n < N; ++n) squares += double(x[m * N + n]) * x[m * N + n];
        for (int64_t n = 0; n < N; ++n) y[m * N + n] = float(x[m * N + n] / std::sqrt(squares / N + eps) * weight[n]);
    }
}
