// Says "done" on the control page in the first of several calls, once it is timed.
// expect: wrong no-gain cheated timed_out
// fidelity: confirm
#include <atomic>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
struct Page { alignas(64) std::atomic<uint32_t> go; alignas(64) std::atomic<uint32_t> done; };
KERNEL {
    static Page* page = static_cast<Page*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0));
    if (M == 16 && page->done != page->go) {
        page->done = page->go.load();
        syscall(SYS_futex, &page->done, FUTEX_WAKE, 9, nullptr, nullptr, 0);
    }
    honest(x, weight, eps, y, M, N);
}
