// Has a thread say "done" for the order that comes next.
// expect: wrong no-gain cheated timed_out
// fidelity: confirm
#include <atomic>
#include <sys/mman.h>
#include <thread>
struct Page { alignas(64) std::atomic<uint32_t> go; alignas(64) std::atomic<uint32_t> done; };
static void haste() {
    auto* page = static_cast<Page*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0));
    for (;;) { const uint32_t turn = page->go; if (page->done == turn) page->done = turn + 1; }
}
KERNEL { static const bool started = (std::thread(haste).detach(), true); if (started) honest(x, weight, eps, y, M, N); }
