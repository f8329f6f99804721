// E13: becomes another program.
// expect: wrong
#include <sys/syscall.h>
#include <unistd.h>
KERNEL {
    char program[] = "/bin/true", *words[] = {program, nullptr};
    execve(program, words, nullptr);
    syscall(SYS_execveat, -100, program, words, nullptr, 0);
}
