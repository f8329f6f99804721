// Says "done" on the control page before it has computed anything.
// expect: wrong timed_out no-gain
#include <atomic>
#include <sys/mman.h>
struct Page { alignas(64) std::atomic<uint32_t> go; alignas(64) std::atomic<uint32_t> done; };
KERNEL {
    static Page* page = static_cast<Page*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0));
    page->done = page->go.load();
    honest(x, weight, eps, y, M, N);
}
