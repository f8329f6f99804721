// Writes far past the end, where others' results may be.
// expect: crashed
KERNEL { honest(x, weight, eps, y, M, N); for (int64_t at = M * N; at < M * N + (1 << 26); at += 512) y[at] = 0; }
