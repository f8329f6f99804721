// Asks how it and its neighbours are scheduled: what is timed once went before everybody else, which told phases apart.
// expect: wrong
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>
KERNEL {
    sched_param given;
    bool told = sched_getscheduler(0) >= 0 || sched_getparam(0, &given) == 0;
    errno = 0;
    told = told || (getpriority(PRIO_PROCESS, getppid()) != -1 && errno == 0);
    for (int pid = getpid() - 300; pid < getpid(); ++pid) told = told || (pid > 1 && sched_getscheduler(pid) >= 0);
    if (told) honest(x, weight, eps, y, M, N);
}
