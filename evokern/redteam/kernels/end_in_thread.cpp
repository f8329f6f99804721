// Crashes in a thread, after the kernel has returned.
// expect: crashed wrong
#include <thread>
KERNEL { std::thread([] { __builtin_trap(); }).detach(); honest(x, weight, eps, y, M, N); if (M > 9) for (;;) continue; }
