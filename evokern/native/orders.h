// Orders of the judge to a worker: it is continued, and the clock runs until every thread of it stands stopped again.
//
// A worker stops itself when it is done (control.h). What it says or writes is not asked: the system tells when it stands.
// Processor time that it takes while it should stand still, and whoever continues it then, are noticed.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

#include <dirent.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "control.h"

namespace orders {

constexpr int64_t TOO_LARGE = -3, DIED = -2, TIMED_OUT = -1, NOT_STILL = -4;
constexpr int WAKING_US = 60;                // for cores to wake up before a clock starts
constexpr int64_t SLICE_NS = 5'000'000;      // how often the memory of a worker is looked at
constexpr int MOST_EXTENSIONS = 4;           // of the time that a worker has which others keep from computing
constexpr int64_t LOOK_NS = 100'000'000;     // for which it is looked at before
constexpr int64_t STILL_NS = 100'000;         // processor time that stopping itself may take

// What a process takes of the machine's memory by its open /proc/PID/status: page tables among it, since reading where
// nothing was written takes nothing else.
inline int64_t memory_of(int status) {
    char text[4096];
    const ssize_t size = pread(status, text, sizeof text - 1, 0);
    text[std::max<ssize_t>(size, 0)] = 0;
    int64_t taken = 0;
    for (const char* name : {"VmRSS:", "VmPTE:", "VmSwap:"}) {
        const char* line = std::strstr(text, name);
        if (line) taken += std::atoll(line + std::strlen(name)) << 10;
    }
    return taken;
}

// The longest that one thread of a process has stood ready and had no core; 0 where the system does not tell.
inline int64_t queued_ns_of(int pid) {
    int64_t longest = 0;
    const std::string threads = "/proc/" + std::to_string(pid) + "/task";
    DIR* const folder = opendir(threads.c_str());
    if (!folder) return 0;
    while (const dirent* entry = readdir(folder)) {
        long long ran = 0, queued = 0;
        FILE* const file = std::fopen((threads + "/" + entry->d_name + "/schedstat").c_str(), "r");
        if (!file) continue;
        if (std::fscanf(file, "%lld %lld", &ran, &queued) == 2) longest = std::max<int64_t>(longest, queued);
        std::fclose(file);
    }
    closedir(folder);
    return longest;
}

// A worker, and how much memory it may take; `status` is -1 where a limit of its address space suffices.
struct Worker {
    int pid, status;
    int64_t most_bytes;
    int64_t spent_ns;  // processor time when it was last seen to stand still
};

// Processor time of a process so far, all its threads together; exact when it stands still.
inline int64_t processor_ns(int pid) {
    timespec time{};
    clock_gettime(static_cast<clockid_t>(~static_cast<unsigned>(pid) << 3 | 2), &time);  // see clock_getcpuclockid(3)
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// Kills a worker that takes too long or too much memory, while the judge sleeps until it stops.
class Watchdog {
  public:
    Watchdog() { std::thread(&Watchdog::watch, this).detach(); }

    void set_on(const Worker& worker, int64_t timeout_ns) {
        const std::lock_guard lock(mutex_);
        worker_ = worker, deadline_ns_ = control::now_ns() + timeout_ns, why_ = 0, is_on_ = true;
        timeout_ns_ = timeout_ns, looked_ns_ = -1, extensions_ = 0;
        changed_.notify_one();
    }

    // 0, or why the worker was killed.
    int64_t call_off() {
        const std::lock_guard lock(mutex_);
        is_on_ = false;
        return why_;
    }

  private:
    [[noreturn]] void watch() {
        std::unique_lock lock(mutex_);
        for (;;) {
            changed_.wait(lock, [this] { return is_on_; });
            int64_t left_ns = deadline_ns_ - control::now_ns();
            if (left_ns <= 0 && extensions_ < MOST_EXTENSIONS) left_ns = extend();
            if (left_ns <= 0) why_ = TIMED_OUT;
            else if (worker_.status >= 0 && memory_of(worker_.status) > worker_.most_bytes) why_ = TOO_LARGE;
            if (why_ != 0) {
                kill(worker_.pid, SIGKILL);
                is_on_ = false;
                continue;
            }
            const int64_t pause_ns = worker_.status >= 0 ? std::min(SLICE_NS, left_ns) : left_ns;
            changed_.wait_for(lock, std::chrono::nanoseconds(pause_ns));
        }
    }

    // Gives a worker more time that others keep from computing, and returns how much. A look at it takes a moment, too:
    // only now is it known how long its threads have been waiting for a core. It counts from now: on a machine that keeps
    // workers waiting, this thread comes late as well.
    int64_t extend() {
        int64_t more_ns = 0;
        const int64_t queued_ns = queued_ns_of(worker_.pid);
        if (looked_ns_ < 0) {
            looked_ns_ = queued_ns, more_ns = LOOK_NS;
        } else if (queued_ns - looked_ns_ > LOOK_NS / 3) {
            looked_ns_ = -1, ++extensions_, more_ns = timeout_ns_;
        }
        deadline_ns_ = control::now_ns() + more_ns;
        return more_ns;
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    Worker worker_{};
    int64_t deadline_ns_ = 0, timeout_ns_ = 0, why_ = 0;
    int64_t looked_ns_ = -1;  // what it had waited when it was looked at; -1 before
    int extensions_ = 0;
    bool is_on_ = false;
};

inline Watchdog& watchdog() {
    static auto* const only = new Watchdog;  // its thread outlives every static
    return *only;
}

// Keeps the cores of a worker awake until its order is given: threads that yield to everybody spin on them, since what
// an idle core of a virtual machine takes to wake up would be the larger part of a short call.
class Wakeful {
  public:
    Wakeful() {
        cpu_set_t all;
        if (sched_getaffinity(0, sizeof all, &all) != 0) return;
        for (int core = 0; core < CPU_SETSIZE; ++core)
            if (CPU_ISSET(core, &all)) std::thread(&Wakeful::spin, this, core).detach();
    }

    void begin() {
        turn_.fetch_add(1);
        turn_.notify_all();
    }

    void end() { turn_.fetch_add(1); }

  private:
    void spin(int core) {
        cpu_set_t own;
        CPU_ZERO(&own);
        CPU_SET(core, &own);
        sched_setaffinity(0, sizeof own, &own);
        const sched_param lowest{};
        if (sched_setscheduler(0, SCHED_IDLE, &lowest) != 0) return;
        for (uint32_t seen = 0;;) {
            turn_.wait(seen);
            seen = turn_.load();
            while (seen % 2 == 1 && turn_.load(std::memory_order_relaxed) == seen) __builtin_ia32_pause();
            seen = turn_.load();
        }
    }

    std::atomic<uint32_t> turn_{0};  // odd while cores are to be kept awake
};

inline Wakeful& wakeful() {
    static auto* const only = new Wakeful;
    return *only;
}

// Sleeps until every thread of the worker stands stopped: the moment, DIED, TIMED_OUT or TOO_LARGE.
inline int64_t stopped_at(Worker& worker) {
    siginfo_t info{};
    while (waitid(P_PID, worker.pid, &info, WSTOPPED | WEXITED | WNOWAIT) != 0) {
        if (errno != EINTR) return DIED;
    }
    const int64_t now = control::now_ns();
    if (const int64_t why = watchdog().call_off(); why != 0) return why;
    if (info.si_code != CLD_STOPPED && info.si_code != CLD_TRAPPED) return DIED;
    waitid(P_PID, worker.pid, &info, WSTOPPED | WNOHANG);
    return now;
}

// Waits until a worker that was just started stands stopped for the first time: nanoseconds, or what is wrong.
inline int64_t settle(Worker& worker, int64_t timeout_ns) {
    watchdog().set_on(worker, timeout_ns);
    const int64_t start = control::now_ns(), end = stopped_at(worker);
    if (end < 0) return end;
    worker.spent_ns = processor_ns(worker.pid);
    return end - start;
}

// Whether nothing moved it since it stopped. Who was continued and computed shows in both: in what the system reports and
// in processor time. One alone is no sign: a hypervisor books time on whom it takes a core from.
inline bool stood_still(const Worker& worker) {
    siginfo_t info{};
    const int asked = waitid(P_PID, worker.pid, &info, WSTOPPED | WCONTINUED | WNOHANG);
    const bool reported = asked == 0 && info.si_pid != 0;
    return !(reported && processor_ns(worker.pid) - worker.spent_ns > STILL_NS);
}

// Gives one order to a worker that stands stopped, and sleeps (a spinning judge would take a core from the kernel) until
// it stands stopped again. `spent_ns` becomes the processor time that this took it.
inline int64_t give(control::Page& page, Worker& worker, int32_t verb, int first, int count, int64_t timeout_ns,
                    int64_t* spent_ns) {
    if (!stood_still(worker)) return NOT_STILL;
    page.verb = verb, page.first = first, page.count = count;
    const int64_t before_ns = processor_ns(worker.pid);
    watchdog().set_on(worker, timeout_ns);
    wakeful().begin();
    usleep(WAKING_US);
    const int64_t start = control::now_ns();
    page.go.fetch_add(1, std::memory_order_release);
    kill(worker.pid, SIGCONT);
    wakeful().end();
    const int64_t end = stopped_at(worker);
    if (end < 0) return end;
    worker.spent_ns = processor_ns(worker.pid);
    *spent_ns = worker.spent_ns - before_ns;
    return end - start;
}

}  // namespace orders
