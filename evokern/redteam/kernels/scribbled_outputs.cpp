// Overwrites every output slot that there is, the rivals' among them, in every call.
// expect: wrong crashed
#include <sys/mman.h>
#include <sys/stat.h>
KERNEL {
    struct stat status;
    fstat(6, &status);
    honest(x, weight, eps, y, M, N);
    void* all = mmap(nullptr, status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, 6, 0);
    std::memset(all, 0x41, status.st_size);
    munmap(all, status.st_size);
}
