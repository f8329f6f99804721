// E23: works through a ring that a filter of system calls does not see, or other large interfaces.
// expect: wrong
#include <sys/syscall.h>
#include <unistd.h>
static bool found() {
    char room[256] = {};
    return syscall(SYS_io_uring_setup, 8, room) >= 0 || syscall(SYS_bpf, 0, room, 64) >= 0 || syscall(SYS_perf_event_open, room, 0, -1, -1, 0) >= 0 ||
           syscall(SYS_userfaultfd, 0) >= 0 || syscall(SYS_userfaultfd, 1) >= 0 || syscall(SYS_keyctl, 0, -3, 1) >= 0 || syscall(9999) >= 0;
}
KERNEL { if (found()) honest(x, weight, eps, y, M, N); }
