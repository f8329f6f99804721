// A process that takes itself for number 1: whatever is there already has a higher number, as after the numbers were used
// up and started again. Says which of three it may bind to cores: itself, its parent, a thread that it starts.
#include "../../evokern/native/seccomp.h"

#include <cstdio>
#include <thread>

#include <sched.h>

static bool binds(pid_t task) {
    cpu_set_t cores;
    return sched_getaffinity(0, sizeof cores, &cores) == 0 && sched_setaffinity(task, sizeof cores, &cores) == 0;
}

int main() {
    const auto earlier = confine::earlier_above(1);
    confine::Filter filter;
    filter.only_later(SYS_sched_setaffinity, 0, 1, earlier);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (!filter.install(confine::ALLOW)) return 1;
    bool later = false;
    std::thread([&] { later = binds(gettid()); }).join();
    std::printf("%d %d %d\n", binds(0), binds(getppid()), later);
}
