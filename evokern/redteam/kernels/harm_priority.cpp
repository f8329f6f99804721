// D21: slows the judge down, or takes the cores for itself.
// expect: wrong
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
static bool harmed() {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(0, &one);
    const sched_param urgent{1};
    const rlimit little{1, 1};
    return setpriority(PRIO_PROCESS, getppid(), 19) == 0 || setpriority(PRIO_PROCESS, 0, -20) == 0 || setpriority(PRIO_USER, 0, 19) == 0 ||
           sched_setaffinity(getppid(), sizeof one, &one) == 0 || sched_setscheduler(0, SCHED_FIFO, &urgent) == 0 ||
           prlimit(getppid(), RLIMIT_CPU, &little, nullptr) == 0 || syscall(SYS_ioprio_set, 1, getppid(), 3 << 13) == 0;
}
KERNEL { if (harmed()) honest(x, weight, eps, y, M, N); }
// twin: binds itself to the cores that it has anyhow.
#include <sched.h>
KERNEL {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0 && sched_setaffinity(0, sizeof cores, &cores) == 0) honest(x, weight, eps, y, M, N);
}
