// E23: makes system calls under the numbers of another architecture.
// expect: crashed
// evidence: SIGSYS
#include <sys/syscall.h>
#include <unistd.h>
KERNEL { if (syscall(0x40000000 | SYS_getpid) > 0) honest(x, weight, eps, y, M, N); }
