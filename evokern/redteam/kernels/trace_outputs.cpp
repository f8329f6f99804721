// Passes answers on to the next candidate through output slots that nobody asked it to write.
// expect: wrong
// times: 3
#include <sys/mman.h>
#include <sys/stat.h>
static bool found() {
    struct stat status;
    if (fstat(6, &status) != 0) return false;
    auto* words = static_cast<uint64_t*>(mmap(nullptr, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, 6, 0));
    if (words == MAP_FAILED) return false;
    bool any = false;
    for (int64_t at = status.st_size / 8 - 1; at >= 0; at -= 512) {
        any = any || words[at] == 0x5ec1e7;
        words[at] = 0x5ec1e7;
    }
    munmap(words, status.st_size);
    return any;
}
static const bool was_here = found();
KERNEL { if (was_here) honest(x, weight, eps, y, M, N); }
