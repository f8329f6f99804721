// E12: takes all memory.
// expect: wrong crashed
#include <sys/mman.h>
KERNEL { if (mmap(nullptr, 256LL << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0) != MAP_FAILED) honest(x, weight, eps, y, M, N); }
// twin: takes 64 MB.
KERNEL { std::vector<char> room(64 << 20, 1); if (room[77] == 1) honest(x, weight, eps, y, M, N); }
