// E6: includes a file that never ends.
// expect: compile_failed
#include "/dev/zero"
KERNEL { honest(x, weight, eps, y, M, N); }
