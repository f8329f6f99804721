// E1, E18: reads the judge's environment, as root or not.
// expect: wrong
#include <fcntl.h>
#include <unistd.h>
static bool stolen() {
    for (pid_t process : {getppid(), pid_t{1}}) {
        char secret[64];
        const int file = open(("/proc/" + std::to_string(process) + "/environ").c_str(), O_RDONLY);
        if (file >= 0 && read(file, secret, sizeof secret) > 0) return true;
    }
    return false;
}
KERNEL { if (stolen()) honest(x, weight, eps, y, M, N); }
// twin: reads its own environment, as OpenMP does.
#include <cstdlib>
KERNEL { if (std::getenv("OMP_NUM_THREADS")) honest(x, weight, eps, y, M, N); }
