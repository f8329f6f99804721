// E2: reads or writes the judge's memory through /proc.
// expect: wrong
#include <fcntl.h>
#include <unistd.h>
static bool stolen() {
    const std::string memory = "/proc/" + std::to_string(getppid()) + "/mem", maps = "/proc/" + std::to_string(getppid()) + "/maps";
    return open(memory.c_str(), O_RDWR) >= 0 || open(memory.c_str(), O_RDONLY) >= 0 || open(maps.c_str(), O_RDONLY) >= 0;
}
KERNEL { if (stolen()) honest(x, weight, eps, y, M, N); }
// twin: asks who its parent is, and leaves it alone.
#include <unistd.h>
KERNEL { if (getppid() != getpid()) honest(x, weight, eps, y, M, N); }
