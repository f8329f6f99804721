// E18: takes rights back, or makes itself visible or independent of the judge.
// expect: wrong
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
static bool regained() {
    const rlimit much{RLIM_INFINITY, RLIM_INFINITY};
    return setuid(0) == 0 || setgid(0) == 0 || unshare(CLONE_NEWUSER) == 0 || unshare(CLONE_NEWNS) == 0 || mount("none", "/tmp", "tmpfs", 0, nullptr) == 0 ||
           prctl(PR_SET_DUMPABLE, 1) == 0 || prctl(PR_SET_PDEATHSIG, 0) == 0 || prctl(PR_SET_SECCOMP, 0) == 0 || prctl(PR_SET_NO_NEW_PRIVS, 0) == 0 ||
           setrlimit(RLIMIT_FSIZE, &much) == 0 || setrlimit(RLIMIT_CORE, &much) == 0 || setsid() >= 0 || setpgid(0, 0) == 0 || chroot("/") == 0 ||
           syscall(SYS_seccomp, 0, 0, nullptr) == 0;
}
KERNEL { if (regained()) honest(x, weight, eps, y, M, N); }
// twin: names its thread.
#include <sys/prctl.h>
KERNEL { prctl(PR_SET_NAME, "rows"); honest(x, weight, eps, y, M, N); }
