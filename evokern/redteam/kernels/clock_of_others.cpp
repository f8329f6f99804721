// Reads the processor clocks of other processes, to know who else runs and which of them is timed.
// expect: wrong
#include <ctime>
#include <unistd.h>
KERNEL {
    timespec time;
    for (int pid = getpid() > 300 ? getpid() - 300 : 1; pid < getpid(); ++pid) {
        const clockid_t clock = static_cast<clockid_t>(~static_cast<unsigned>(pid) << 3 | 2);
        if (clock_gettime(clock, &time) == 0) return honest(x, weight, eps, y, M, N);
    }
}
// twin: reads its own.
#include <ctime>
KERNEL { timespec time; if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0) honest(x, weight, eps, y, M, N); }
