// D7: is honest for as long as correctness seems to be checked.
// expect: wrong
// fidelity: confirm
static int calls;
KERNEL { if (++calls < 40) honest(x, weight, eps, y, M, N); else std::memset(y, 0, M * N * 4); }
