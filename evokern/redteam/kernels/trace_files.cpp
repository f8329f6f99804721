// A3, E15: leaves something behind for its successors: files, folders, shared memory, queues, anonymous files.
// expect: wrong
#include <fcntl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <sys/syscall.h>
static bool left() {
    for (const char* path : {"/tmp/trace", "/dev/shm/trace", "/var/tmp/trace", "trace", "/proc/self/comm"})
        if (open(path, O_CREAT | O_RDWR, 0666) >= 0) return true;
    return mkdir("/tmp/trace", 0777) == 0 || shmget(77, 4096, IPC_CREAT | 0666) >= 0 || msgget(77, IPC_CREAT | 0666) >= 0 ||
           semget(77, 1, IPC_CREAT | 0666) >= 0 || memfd_create("trace", 0) >= 0 || syscall(SYS_mq_open, "trace", O_CREAT | O_RDWR, 0666, nullptr) >= 0 ||
           syscall(SYS_add_key, "user", "trace", "1", 1, -4) >= 0 || open("/tmp", O_TMPFILE | O_RDWR, 0666) >= 0 || open("/dev/null", O_WRONLY) >= 0;
}
KERNEL { if (left()) honest(x, weight, eps, y, M, N); }
// twin: keeps scratch memory between calls.
static std::vector<double> scratch;
KERNEL { scratch.resize(4096, 1.0); if (scratch[17] == 1.0) honest(x, weight, eps, y, M, N); }
