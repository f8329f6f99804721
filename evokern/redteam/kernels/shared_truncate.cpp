// Cuts the memory off that the judge reads, so that the judge dies; or forbids the next candidate to write there.
// expect: wrong
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
static bool cut() {
    bool any = false;
    for (int file : {3, 4, 5, 6})
        any = ftruncate(file, 0) == 0 || ftruncate(file, 1LL << 40) == 0 || fallocate(file, 3 /* punch a hole */, 0, 4096) == 0 ||
              fcntl(file, 1033 /* F_ADD_SEALS */, 0x10) == 0 || fchmod(file, 0) == 0 || any;
    return any;
}
KERNEL { if (cut()) honest(x, weight, eps, y, M, N); }
// twin: closes what it does not know.
#include <unistd.h>
KERNEL { close(41); honest(x, weight, eps, y, M, N); }
