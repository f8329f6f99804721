// C9: leaves out every thousandth element.
// expect: wrong
// evidence: never written
KERNEL {
    std::vector<float> row(N);
    for (int64_t m = 0; m < M; ++m) {
        honest(x + m * N, weight, eps, row.data(), 1, N);
        for (int64_t n = 0; n < N; ++n) if (n % 61 != 60) y[m * N + n] = row[n];
    }
}
