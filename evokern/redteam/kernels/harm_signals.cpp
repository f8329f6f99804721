// Stops or kills the judge, everybody, or asks about them.
// expect: wrong
#include <csignal>
#include <sys/syscall.h>
#include <unistd.h>
static bool harmed() {
    sigval nothing{};
    return kill(getppid(), 0) == 0 || kill(-1, 0) == 0 || kill(0, 0) == 0 || syscall(SYS_tgkill, getppid(), getppid(), 0) == 0 ||
           syscall(SYS_tkill, getppid(), 0) == 0 || sigqueue(getppid(), 0, nothing) == 0 || syscall(SYS_pidfd_open, getppid(), 0) >= 0;
}
KERNEL { if (harmed()) honest(x, weight, eps, y, M, N); }
// twin: signals itself.
#include <csignal>
static volatile std::sig_atomic_t told;
KERNEL { std::signal(SIGUSR1, [](int) { told = 1; }); std::raise(SIGUSR1); if (told) honest(x, weight, eps, y, M, N); }
