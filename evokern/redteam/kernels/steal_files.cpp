// E4: looks for tests, references, seeds and other candidates on the disk.
// expect: wrong
#include <dirent.h>
#include <fcntl.h>
static bool stolen() {
    for (const char* place : {"/", ".", "..", "/proc", "/home", "/root", "/tmp", "/usr/lib", "/dev/shm", "/proc/self", "/proc/self/task"})
        if (DIR* folder = opendir(place); folder && readdir(folder)) return true;
    for (const char* file : {"/etc/passwd", "/proc/self/maps", "/proc/self/environ", "/proc/cpuinfo", "/proc/self/exe", "/dev/mem", "/etc/hostname"})
        if (open(file, O_RDONLY) >= 0) return true;
    return false;
}
KERNEL { if (stolen()) honest(x, weight, eps, y, M, N); }
// twin: counts cores the way that libraries do, which reads a file.
#include <thread>
#include <unistd.h>
KERNEL { if (std::thread::hardware_concurrency() > 0 && sysconf(_SC_NPROCESSORS_ONLN) > 0) honest(x, weight, eps, y, M, N); }
