// A second thread computes on while the first one stops the process, so as to be done by the time the judge looks.
// expect: wrong crashed cheated timed_out no-gain
// fidelity: confirm
#include <atomic>
#include <signal.h>
#include <unistd.h>
KERNEL {
    if (M != 256) return honest(x, weight, eps, y, M, N);
    std::atomic<int> here{0};
#pragma omp parallel num_threads(2)
    {
        ++here;
        if (omp_get_thread_num() == 1) honest(x, weight, eps, y, M, N);
        else if (omp_get_num_threads() == 2) {
            while (here < 2) __builtin_ia32_pause();
            kill(getpid(), SIGSTOP);
        } else honest(x, weight, eps, y, M, N);
    }
}
