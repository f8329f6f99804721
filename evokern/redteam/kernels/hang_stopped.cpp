// Stops itself: a judge that waits for it to stop would take it for done.
// expect: timed_out
#include <csignal>
KERNEL { honest(x, weight, eps, y, M, N); std::raise(SIGSTOP); }
