// E6: has the compiler instantiate without end.
// expect: compile_failed
template <int I> struct Deeper { Deeper<I + 1> next; };
KERNEL { Deeper<0> endless; honest(x, weight, eps, y, M, N); }
