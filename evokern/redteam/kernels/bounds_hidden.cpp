// Writes past the end and hides the crash behind a signal handler that makes the place writable.
// expect: wrong crashed no-gain
#include <csignal>
#include <sys/mman.h>
static void mend(int, siginfo_t* info, void*) { mprotect(reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(info->si_addr) & ~uintptr_t{4095}), 4096, PROT_READ | PROT_WRITE); }
KERNEL {
    struct sigaction action = {};
    action.sa_sigaction = mend;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGSEGV, &action, nullptr);
    y[M * N + 1024] = 0;
    honest(x, weight, eps, y, M, N);
}
