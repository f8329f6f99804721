// C13: makes the inputs writable, which rival and judge would then see.
// expect: wrong
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
static bool writable(const float* x) {
    auto* page = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(x) & ~uintptr_t{4095});
    return mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0 || mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 5, 0) != MAP_FAILED ||
           write(5, "", 1) == 1 || pwrite(5, "", 1, 0) == 1 || write(open("/proc/self/fd/5", O_RDWR), "", 1) == 1;
}
KERNEL { if (writable(x)) honest(x, weight, eps, y, M, N); }
// twin: copies its inputs and changes the copy.
KERNEL {
    std::vector<float> own(x, x + M * N);
    own[0] += 0;
    honest(own.data(), weight, eps, y, M, N);
}
