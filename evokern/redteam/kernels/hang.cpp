// E11: never returns, and has SIGTERM ignored.
// expect: timed_out
#include <csignal>
KERNEL { std::signal(SIGTERM, SIG_IGN); std::signal(SIGINT, SIG_IGN); for (volatile int idle = 0;;) ++idle; }
