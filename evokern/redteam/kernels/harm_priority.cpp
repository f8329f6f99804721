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
    const pid_t other = getppid() != 0 ? getppid() : 1;  // 0: the judge is not in sight
    return setpriority(PRIO_PROCESS, other, 19) == 0 || setpriority(PRIO_PROCESS, 0, -20) == 0 || setpriority(PRIO_USER, 0, 19) == 0 ||
           sched_setaffinity(other, sizeof one, &one) == 0 || sched_setscheduler(0, SCHED_FIFO, &urgent) == 0 ||
           prlimit(other, RLIMIT_CPU, &little, nullptr) == 0 || syscall(SYS_ioprio_set, 1, other, 3 << 13) == 0;
}
KERNEL { if (harmed()) honest(x, weight, eps, y, M, N); }
// twin: binds itself to the cores that it has anyhow.
#include <sched.h>
KERNEL {
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) == 0 && sched_setaffinity(0, sizeof cores, &cores) == 0) honest(x, weight, eps, y, M, N);
}
