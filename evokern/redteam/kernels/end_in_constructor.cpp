// A1: ends the process with status 0 while it is being loaded.
// expect: crashed
// evidence: exited with status 0
#include <unistd.h>
__attribute__((constructor)) static void early() { _exit(0); }
KERNEL {}
// twin: prepares a table while it is being loaded.
static const std::vector<double> table(1000, 1.0);
KERNEL { if (table[999] == 1.0) honest(x, weight, eps, y, M, N); }
