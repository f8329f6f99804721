// Writes one element past the end.
// expect: wrong crashed
KERNEL { honest(x, weight, eps, y, M, N); y[M * N] = 0; }
