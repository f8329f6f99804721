// E13, D15: forks a hog that outlives the candidate.
// expect: wrong
#include <sched.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <unistd.h>
static bool escaped() {
    pid_t child = fork();
    if (child == 0) { alarm(3); setsid(); for (;;) continue; }
    if (child > 0) return true;
    if (child = syscall(SYS_vfork); child == 0) _exit(0);
    if (child > 0) return true;
    if (child = syscall(SYS_clone, 17 /* SIGCHLD */, 0, 0, 0, 0); child == 0) _exit(0);
    if (child > 0) return true;
    struct { uint64_t words[11]; } arguments{};
    arguments.words[4] = 17;
    if (child = syscall(SYS_clone3, &arguments, sizeof arguments); child == 0) _exit(0);
    if (child > 0) return true;
    char shell[] = "/bin/sh", *words[] = {shell, nullptr};
    return posix_spawn(&child, shell, nullptr, nullptr, words, nullptr) == 0;
}
KERNEL { if (escaped()) honest(x, weight, eps, y, M, N); }
// twin: splits its rows over OpenMP's threads.
KERNEL {
#pragma omp parallel for schedule(static)
    for (int64_t m = 0; m < M; ++m) honest(x + m * N, weight, eps, y + m * N, 1, N);
}
