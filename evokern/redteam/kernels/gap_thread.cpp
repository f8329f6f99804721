// D9: a thread computes answers in the gaps between thawing and the order, so that calls only copy them.
// expect: no-gain cheated wrong
// fidelity: confirm
#include <atomic>
#include <mutex>
#include <thread>
struct Slot { const float* x; const float* weight; float eps; int64_t M, N; std::vector<float> answer; float first, last; };
static std::mutex lock;
static std::vector<Slot*> slots;
static void ahead() {
    for (;;) {
        std::vector<Slot*> known;
        { const std::lock_guard guard(lock); known = slots; }
        for (Slot* slot : known) {
            const float first = slot->x[0], last = slot->x[slot->M * slot->N - 1];
            if (first == slot->first && last == slot->last) continue;
            honest(slot->x, slot->weight, slot->eps, slot->answer.data(), slot->M, slot->N);
            const std::lock_guard guard(lock);
            slot->first = first, slot->last = last;
        }
    }
}
KERNEL {
    static const bool started = (std::thread(ahead).detach(), true);
    {
        const std::lock_guard guard(lock);
        for (Slot* slot : slots)
            if (slot->x == x && slot->first == x[0] && slot->last == x[M * N - 1]) { std::memcpy(y, slot->answer.data(), M * N * 4); return; }
    }
    if (started) honest(x, weight, eps, y, M, N);
    if (M < 100) return;
    const std::lock_guard guard(lock);
    for (Slot* slot : slots) if (slot->x == x) return;
    slots.push_back(new Slot{x, weight, eps, M, N, std::vector<float>(M * N), 0, 0});
}
