// Interrupts the runner with a timer of its own.
// expect: wrong
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>
KERNEL {
    const itimerval soon{{0, 1000}, {0, 1000}};
    long timer;
    if (setitimer(ITIMER_REAL, &soon, nullptr) == 0 || alarm(1) == 0 || syscall(SYS_timer_create, 1, nullptr, &timer) == 0 || syscall(SYS_timerfd_create, 1, 0) >= 0) honest(x, weight, eps, y, M, N);
}
// twin: reads the clock.
#include <chrono>
KERNEL { if (std::chrono::steady_clock::now().time_since_epoch().count() > 0) honest(x, weight, eps, y, M, N); }
