// Says "done" on the control page before the last call of a window: the judge takes a moment to stop it.
// expect: wrong no-gain cheated timed_out
// fidelity: confirm
#include <atomic>
#include <sys/mman.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
struct Page { alignas(64) std::atomic<uint32_t> go; alignas(64) std::atomic<uint32_t> done; alignas(64) int32_t verb; int32_t first, count; };
KERNEL {
    static Page* page = static_cast<Page*>(mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0));
    static uint32_t turn;
    static int calls;
    if (page == MAP_FAILED) return honest(x, weight, eps, y, M, N);  // where nothing is timed, there is no such page
    if (turn != page->go) turn = page->go, calls = 0;
    if (++calls == page->count && M == 16) {
        page->done = turn;
        syscall(SYS_futex, &page->done, FUTEX_WAKE, 9, nullptr, nullptr, 0);
    }
    honest(x, weight, eps, y, M, N);
}
