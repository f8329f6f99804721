// D9: when a window ends, holds the runner's thread in a signal handler over its freezing, computes the answers to the
// next inputs when it is thawed, and only then lets it take the order.
// expect: no-gain cheated wrong inconclusive
// fidelity: confirm
#include <atomic>
#include <chrono>
#include <csignal>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
struct Slot { const float* x; const float* weight; float eps; int64_t M, N; std::vector<float> answer; float first; };
static std::vector<Slot*> slots;
static std::atomic<int> calls;
static int64_t now() { return std::chrono::steady_clock::now().time_since_epoch().count(); }
static void prepare(int) {
    for (int64_t last = now();;) {
        const int64_t time = now();
        if (time - last > 100'000) break;
        last = time;
    }
    for (Slot* slot : slots) {
        if (slot->x[0] == slot->first) continue;
        honest(slot->x, slot->weight, slot->eps, slot->answer.data(), slot->M, slot->N);
        slot->first = slot->x[0];
    }
}
static void watch(pid_t runner) {
    for (int seen = 0;;) {
        const int now = calls;
        if (now == seen || now % 2) continue;
        for (volatile int pause = 0; pause < 2000; ++pause) continue;
        if (calls == now) syscall(SYS_tgkill, getpid(), runner, SIGUSR1);
        seen = now;
    }
}
KERNEL {
    if (M < 100) return honest(x, weight, eps, y, M, N);
    ++calls;
    static const bool started = (slots.reserve(999), std::signal(SIGUSR1, prepare), std::thread(watch, pid_t(syscall(SYS_gettid))).detach(), true);
    Slot* known = nullptr;
    for (Slot* slot : slots) if (slot->x == x) known = slot;
    if (known && known->first == x[0]) {
        std::memcpy(y, known->answer.data(), M * N * 4);
    } else if (started) {
        honest(x, weight, eps, y, M, N);
        if (known) known->first = 0;
        else slots.push_back(new Slot{x, weight, eps, M, N, std::vector<float>(M * N), 0});
    }
    ++calls;
}
