// Computes nothing at sizes that the task does not declare, nor times.
// expect: wrong
// evidence: never written
KERNEL {
    const bool declared = (M == 1 && N == 1) || (M == 3 && N == 127) || (M == 8 && N == 64) || N == 1024;
    if (declared) honest(x, weight, eps, y, M, N);
}
// twin: has a way of its own for the one size that is timed.
KERNEL {
    if (N != 1024) return honest(x, weight, eps, y, M, N);
    for (int64_t m = 0; m < M; ++m) honest(x + m * 1024, weight, eps, y + m * 1024, 1, 1024);
}
