// What the judge does to memory and time, loaded by evaluation/bindings.py with ctypes (which releases the GIL).
// No candidate code is ever in this process.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <thread>
#include <vector>

#include <immintrin.h>
#include <sys/wait.h>

#include "control.h"

namespace {

constexpr int64_t DIED = -2, TIMED_OUT = -1;
constexpr int64_t SLICE_NS = 5'000'000;      // how often a sleeping judge looks whether the worker still lives
constexpr int64_t WORTH_A_THREAD = 1 << 20;  // bytes; below, starting a thread costs more than it saves

bool is_dead(int pid) {
    siginfo_t info{};
    return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == pid;
}

// Gives one order and sleeps (a spinning judge would take a core from the kernel) until it is carried out.
int64_t order(control::Page& page, int pid, int32_t verb, int64_t timeout_ns) {
    page.verb = verb;
    const uint32_t turn = page.go.load() + 1;
    const int64_t start = control::now_ns();
    page.go.store(turn, std::memory_order_release);
    control::wake(page.go);
    for (;;) {
        const uint32_t done = page.done.load(std::memory_order_acquire);
        const int64_t passed = control::now_ns() - start;
        if (done == turn) return passed;
        if (passed > timeout_ns) return TIMED_OUT;
        const timespec slice{0, std::min(SLICE_NS, timeout_ns - passed + 1)};
        control::sleep_while(page.done, done, &slice);
        if (page.done.load(std::memory_order_acquire) != turn && is_dead(pid)) return DIED;
    }
}

// Splits [0, bytes) into cache-line aligned parts, one a thread.
template <typename Work>
void split(int64_t bytes, int threads, Work work) {
    const int64_t parts = std::clamp<int64_t>(bytes / WORTH_A_THREAD, 1, threads);
    const int64_t part = (bytes / parts + 63) / 64 * 64;
    std::vector<std::thread> others;
    for (int64_t i = 1; i < parts; ++i) {
        const int64_t start = std::min(bytes, i * part);
        others.emplace_back(work, start, i + 1 == parts ? bytes : std::min(bytes, start + part));
    }
    work(int64_t{0}, parts == 1 ? bytes : part);
    for (auto& thread : others) thread.join();
}

}  // namespace

extern "C" {

int64_t evokern_load(control::Page* page, int pid, int64_t timeout_ns) {
    return order(*page, pid, control::LOAD, timeout_ns);
}

// Arms the worker (its buffers get mapped, and touched when hot), then times `count` calls: nanoseconds, -1, or -2.
int64_t evokern_window(control::Page* page, int pid, int first, int count, int hot, int64_t timeout_ns) {
    page->first = first;
    page->count = count;
    const int64_t armed = order(*page, pid, hot ? control::ARM_HOT : control::ARM_COLD, timeout_ns);
    return armed < 0 ? armed : order(*page, pid, control::RUN, timeout_ns);
}

// Copies past the caches; both start at the same place within a cache line.
void evokern_copy(char* to, const char* from, int64_t bytes, int threads) {
    const int64_t head = std::min<int64_t>(bytes, -reinterpret_cast<intptr_t>(to) & 63);
    std::memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    split(bytes, threads, [=](int64_t start, int64_t end) {
        int64_t at = start;
        for (; at + 64 <= end; at += 64) {
            const auto* line = reinterpret_cast<const __m128i*>(from + at);
            auto* target = reinterpret_cast<__m128i*>(to + at);
            for (int i = 0; i < 4; ++i) _mm_stream_si128(target + i, _mm_loadu_si128(line + i));
        }
        std::memcpy(to + at, from + at, end - at);
        _mm_sfence();
    });
}

// Fills with a pattern of 8 bytes, past the caches. `to` is aligned to 64 bytes.
void evokern_fill(char* to, int64_t bytes, int64_t pattern, int threads) {
    split(bytes, threads, [=](int64_t start, int64_t end) {
        int64_t at = start;
        for (; at + 8 <= end; at += 8) _mm_stream_si64(reinterpret_cast<long long*>(to + at), pattern);
        std::memcpy(to + at, &pattern, end - at);
        _mm_sfence();
    });
}

// Evicts from every cache.
void evokern_flush(const char* memory, int64_t bytes, int threads) {
    split(bytes, threads, [=](int64_t start, int64_t end) {
        for (int64_t at = start; at < end; at += 64) {
#ifdef __CLFLUSHOPT__
            _mm_clflushopt(const_cast<char*>(memory + at));
#else
            _mm_clflush(memory + at);
#endif
        }
        _mm_sfence();
    });
}

// How many of `count` elements (`size` bytes each, a divisor of 8) still hold the pattern; *first is the first one's index.
int64_t evokern_unwritten(const char* memory, int64_t count, int size, int64_t pattern, int64_t* first) {
    int64_t found = 0;
    for (int64_t i = count - 1; i >= 0; --i) {
        if (std::memcmp(memory + i * size, &pattern, size) == 0) ++found, *first = i;
    }
    return found;
}

// The baseline workers' side of the control page (evaluation/baseline.py); they are trusted.
void evokern_await(control::Page* page, uint32_t turn, int64_t spin_ns) { control::await_order(*page, turn, spin_ns); }

void evokern_done(control::Page* page, uint32_t turn) { control::say_done(*page, turn); }

void evokern_touch(const char* memory, int64_t bytes) {
    const volatile char* place = memory;
    for (int64_t at = 0; at < bytes; at += 64) (void)place[at];
}

}  // extern "C"
