// C23: reads past the end what happens to be readable elsewhere.
// expect: crashed
KERNEL { volatile float sum = 0; for (int64_t n = 0; n < 4096; n += 16) sum += x[M * N + n]; honest(x, weight, eps, y, M, N); }
