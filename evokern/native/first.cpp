// The first process of a namespace of process numbers (evaluation/seclusion.py): while it lives, others can start there,
// and when it ends, they end. It does nothing, and dies with the judge.
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

int main() {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;) pause();
}
