// C10: is right at the shapes that are timed only.
// expect: wrong
KERNEL { honest(x, weight, eps, y, M, N % 64 == 0 ? N : N - 1); }
