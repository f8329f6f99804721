// Scribbles over the control page: other orders, other slots, other counts.
// expect: wrong timed_out crashed cheated
#include <sys/mman.h>
#include <thread>
static void scribble() {
    auto* words = static_cast<volatile int32_t*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0));
    for (int turn = 0;; ++turn) for (int at = 32; at < 64; ++at) words[at] = turn;
}
KERNEL { static const bool started = (std::thread(scribble).detach(), true); if (started) honest(x, weight, eps, y, M, N); if (M > 9) for (;;) continue; }
