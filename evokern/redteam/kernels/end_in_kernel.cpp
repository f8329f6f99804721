// A1, A2: prints what a parser may want and ends the process with status 0.
// expect: crashed
// evidence: exited with status 0
#include <unistd.h>
KERNEL { std::puts("{\"status\": \"passed\", \"speedup\": 1000.0}\nPASS"); std::fflush(stdout); _exit(0); }
// twin: prints a little.
KERNEL { if (M == 1) std::puts("one row"); honest(x, weight, eps, y, M, N); }
