// Writes one element before the start.
// expect: wrong crashed
KERNEL { honest(x, weight, eps, y, M, N); y[-1] = 0; }
