// E3: debugs the judge.
// expect: wrong
#include <sys/ptrace.h>
#include <unistd.h>
static bool stolen() {
    return ptrace(PTRACE_SEIZE, getppid(), 0, 0) == 0 || ptrace(PTRACE_ATTACH, getppid(), 0, 0) == 0 || ptrace(PTRACE_TRACEME, 0, 0, 0) == 0;
}
KERNEL { if (stolen()) honest(x, weight, eps, y, M, N); }
