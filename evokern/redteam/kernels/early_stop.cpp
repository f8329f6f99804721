// Stops its own process before the work is done, which is how a worker says "done", and goes on at the next order.
// expect: wrong crashed cheated timed_out
#include <signal.h>
#include <unistd.h>
KERNEL {
    if (M == 16) kill(getpid(), SIGSTOP);
    honest(x, weight, eps, y, M, N);
}
