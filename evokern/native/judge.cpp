// What the judge does to memory and time, loaded by evaluation/bindings.py with ctypes (which releases the GIL).
// No candidate code is ever in this process.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <thread>
#include <vector>

#include <immintrin.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control.h"
#include "orders.h"
#include "pace.h"

namespace {

constexpr int64_t WORTH_A_THREAD = 1 << 20;  // bytes; below, starting a thread costs more than it saves

// Keeps the calling thread on the last of its cores while it exists; workers spin on the first of theirs.
class LastCore {
public:
    LastCore() {
        cpu_set_t last;
        CPU_ZERO(&last);
        if (sched_getaffinity(0, sizeof all_, &all_) != 0) return;
        for (int core = CPU_SETSIZE - 1; core >= 0; --core) {
            if (!CPU_ISSET(core, &all_)) continue;
            CPU_SET(core, &last);
            moved_ = sched_setaffinity(0, sizeof last, &last) == 0;
            return;
        }
    }
    ~LastCore() {
        if (moved_) sched_setaffinity(0, sizeof all_, &all_);
    }
    LastCore(const LastCore&) = delete;
    LastCore& operator=(const LastCore&) = delete;

private:
    cpu_set_t all_{};
    bool moved_ = false;
};

// Splits [0, units) into parts that start at multiples of `granule`, one a thread, none smaller than `worth`.
template <typename Work>
void split(int64_t units, int64_t granule, int64_t worth, int threads, Work work) {
    const int64_t parts = std::clamp<int64_t>(units / worth, 1, threads);
    const int64_t part = (units / parts / granule + 1) * granule;
    std::vector<std::thread> others;
    for (int64_t i = 1; i < parts; ++i)
        others.emplace_back(work, std::min(units, i * part), std::min(units, (i + 1) * part));
    work(int64_t{0}, std::min(units, part));
    for (auto& thread : others) thread.join();
}

template <typename Work>
void split_bytes(int64_t bytes, int threads, Work work) {
    split(bytes, 64, WORTH_A_THREAD, threads, work);
}

using Floats = float __attribute__((vector_size(32)));
using Doubles = double __attribute__((vector_size(64)));
using Halves = uint16_t __attribute__((vector_size(16)));
using Words = uint32_t __attribute__((vector_size(32)));
constexpr int64_t LANES = 8;

template <typename Vector>
Vector read(const void* from) {
    Vector vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

// One element type of outputs each: how eight, or one, of them become doubles.
struct Float64 {
    static constexpr int64_t BYTES = 8;
    static Doubles eight(const char* from) { return read<Doubles>(from); }
};
struct Float32 {
    static constexpr int64_t BYTES = 4;
    static Doubles eight(const char* from) { return __builtin_convertvector(read<Floats>(from), Doubles); }
};
struct Float16 {
    static constexpr int64_t BYTES = 2;
    static Doubles eight(const char* from) {
        return __builtin_convertvector(reinterpret_cast<Floats>(_mm256_cvtph_ps(read<__m128i>(from))), Doubles);
    }
};
struct BFloat16 {
    static constexpr int64_t BYTES = 2;
    static Doubles eight(const char* from) {
        const Words bits = __builtin_convertvector(read<Halves>(from), Words) << 16;
        return __builtin_convertvector(reinterpret_cast<Floats>(bits), Doubles);
    }
};

struct Errors {
    double largest = 0, squares = 0, sum = 0;  // of output - golden
    bool within = true;                        // every block's largest is within its bound

    void add(const Errors& other, double bound) {
        within = within && other.largest <= bound;  // false for NaN
        grow(other.largest);
        squares += other.squares;
        sum += other.sum;
    }

    void grow(double size) {  // NaN stays
        if (!(size <= largest) && !std::isnan(largest)) largest = size;
    }
};

// Equal infinities and NaNs do not differ; unequal ones differ by NaN.
double difference(double got, double wanted) {
    if (got == wanted || (std::isnan(got) && std::isnan(wanted))) return 0;
    return std::isfinite(got) && std::isfinite(wanted) ? got - wanted : NAN;
}

template <typename Type>
Errors compare_block(const char* output, const double* golden, int64_t count) {
    Doubles largest{}, squares{}, sum{};
    int64_t at = 0;
    for (; at + LANES <= count; at += LANES) {
        const Doubles error = Type::eight(output + at * Type::BYTES) - read<Doubles>(golden + at);
        const Doubles size = error < 0 ? -error : error;
        largest = size > largest ? size : largest;
        squares += error * error;
        sum += error;
    }
    Errors errors;
    const auto one = [&](double error) {
        errors.grow(std::fabs(error));
        errors.squares += error * error;
        errors.sum += error;
    };
    const auto last_ones = [&](int64_t from, int64_t end) {
        char padded[LANES * 8] = {};
        std::memcpy(padded, output + from * Type::BYTES, (end - from) * Type::BYTES);
        const Doubles values = Type::eight(padded);
        for (int64_t i = from; i < end; ++i) one(difference(values[i - from], golden[i]));
    };
    for (int lane = 0; lane < LANES; ++lane) {
        errors.largest = std::max(errors.largest, largest[lane]);
        errors.squares += squares[lane];
        errors.sum += sum[lane];
    }
    if (!std::isfinite(errors.sum)) {  // something is not finite: element by element
        errors = {};
        for (int64_t from = 0; from < at; from += LANES) last_ones(from, from + LANES);
    }
    last_ones(at, count);
    return errors;
}

template <typename Type>
Errors compare(const char* output, const double* golden, int64_t count, int64_t block, const double* bounds,
               bool one_bound, int threads) {
    Errors all;
    std::mutex mutex;
    const int64_t blocks = (count + block - 1) / block;
    split(blocks, 1, WORTH_A_THREAD / 8 / block + 1, threads, [&](int64_t first, int64_t end) {
        Errors mine;
        for (int64_t i = first; i < end; ++i) {
            const int64_t start = i * block, length = std::min(block, count - start);
            mine.add(compare_block<Type>(output + start * Type::BYTES, golden + start, length), bounds[one_bound ? 0 : i]);
        }
        const std::lock_guard lock(mutex);
        all.add(mine, INFINITY);
        all.within = all.within && mine.within;
    });
    return all;
}

// Reads [from, end) and nothing else: the sum keeps the compiler from leaving it out. Four streams of a cache line in
// flight reach more than one does. Vectors are as wide as the processor's: wider ones would be taken apart by way of the
// stack, eleven times as slow.
uint64_t sum_of(const char* from, const char* end) {
#ifdef __AVX512F__
    constexpr int WIDTH = 64;
#else
    constexpr int WIDTH = 32;
#endif
    constexpr int LINE = 64, STREAMS = 4, PARTS = LINE / WIDTH;
    using Vector = uint64_t __attribute__((vector_size(WIDTH)));
    Vector sums[STREAMS * PARTS] = {};
    const int64_t quarter = (end - from) / (STREAMS * LINE) * LINE;
    for (int64_t at = 0; at < quarter; at += LINE)
        for (int place = 0; place < STREAMS * PARTS; ++place) {
            const char* line = from + place / PARTS * quarter + at;
            sums[place] += read<Vector>(line + place % PARTS * WIDTH);
        }
    uint64_t total = 0;
    for (const Vector& sum : sums)
        for (int lane = 0; lane < WIDTH / 8; ++lane) total += sum[lane];
    return total;
}

void stay_on(int core) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(core, &set);
    sched_setaffinity(0, sizeof set, &set);
}

}  // namespace

extern "C" {

// Waits until a worker that was just started stands stopped for the first time.
int64_t evokern_settle(orders::Worker* worker, int64_t timeout_ns) {
    return orders::settle(*worker, timeout_ns);
}

// Gives an order and waits for its end: nanoseconds, or what is wrong. Meanwhile the judge waits on the last core, since
// the worker's first thread runs on the first one.
int64_t evokern_order(control::Page* page, orders::Worker* worker, int verb, int first, int count, int64_t timeout_ns,
                      int64_t* spent_ns) {
    const LastCore here;
    return orders::give(*page, *worker, verb, first, count, timeout_ns, spent_ns);
}

// Reads memory from each of `cores`, so that it lies in the caches of all of them as far as it fits.
void evokern_heat(const char* memory, int64_t bytes, const int* cores, int count) {
    std::vector<std::thread> readers;
    std::atomic<uint64_t> sink{0};
    for (int i = 0; i < count; ++i) {
        readers.emplace_back([&, i] {
            stay_on(cores[i]);
            uint64_t sum = 0;
            for (int64_t at = 0; at < bytes; at += 64) sum += static_cast<unsigned char>(memory[at]);
            sink += sum;
        });
    }
    for (auto& reader : readers) reader.join();
}

// Copies past the caches; both start at the same place within a cache line.
void evokern_copy(char* to, const char* from, int64_t bytes, int threads) {
    const int64_t head = std::min<int64_t>(bytes, -reinterpret_cast<intptr_t>(to) & 63);
    std::memcpy(to, from, head);
    to += head, from += head, bytes -= head;
    split_bytes(bytes, threads, [=](int64_t start, int64_t end) {
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
    split_bytes(bytes, threads, [=](int64_t start, int64_t end) {
        int64_t at = start;
        for (; at + 8 <= end; at += 8) _mm_stream_si64(reinterpret_cast<long long*>(to + at), pattern);
        std::memcpy(to + at, &pattern, end - at);
        _mm_sfence();
    });
}

// Evicts from every cache.
void evokern_flush(const char* memory, int64_t bytes, int threads) {
    split_bytes(bytes, threads, [=](int64_t start, int64_t end) {
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
    const auto search = [=](auto element) {
        using Element = decltype(element);
        std::memcpy(&element, &pattern, sizeof element);
        const auto* elements = reinterpret_cast<const Element*>(memory);
        int64_t found = 0;
        for (int64_t i = 0; i < count; ++i) found += elements[i] == element;
        if (found) *first = std::find(elements, elements + count, element) - elements;
        return found;
    };
    if (size == 1) return search(uint8_t{});
    if (size == 2) return search(uint16_t{});
    return size == 4 ? search(uint32_t{}) : search(uint64_t{});
}

// Errors of an output of `count` elements in blocks: result = {largest, sum of squares, sum} of output - golden.
// Returns whether every block's largest is within its bound; `bounds` holds one for each block, or one for all.
int evokern_compare(const char* output, int kind, const double* golden, int64_t count, int64_t block,
                    const double* bounds, int one_bound, int threads, double* result) {
    constexpr decltype(&compare<Float64>) KINDS[] = {compare<Float64>, compare<Float32>, compare<Float16>,
                                                     compare<BFloat16>};
    const Errors errors = KINDS[kind](output, golden, count, block, bounds, one_bound != 0, threads);
    result[0] = errors.largest, result[1] = errors.squares, result[2] = errors.sum;
    return errors.within;
}

// Has the memory of a shared file of `bytes` lie together, 2 MiB at a time, whoever maps it; where the system can't, it
// stays as it is. Collapsing works whatever is set for shared memory, and needs a page of each piece to be there.
void evokern_gather(int descriptor, int64_t bytes) {
    constexpr int64_t PIECE = 2 << 20;
    constexpr int COLLAPSE = 25;  // MADV_COLLAPSE of Linux 6.1, which C libraries of that age don't name
    const int64_t whole = bytes / PIECE * PIECE;
    if (whole == 0) return;
    void* reserved =
        mmap(nullptr, whole + PIECE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) return;
    char* place = reinterpret_cast<char*>((reinterpret_cast<uintptr_t>(reserved) + PIECE - 1) / PIECE * PIECE);
    if (mmap(place, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, descriptor, 0) != MAP_FAILED) {
        for (int64_t at = 0; at < whole; at += PIECE) static_cast<volatile char*>(place)[at] = 0;
        madvise(place, whole, COLLAPSE);
    }
    munmap(reserved, whole + PIECE);
}

// Bytes/s at which one core reads what its nearest cache holds, at best.
double evokern_cached_bandwidth(int64_t least_ns) {
    constexpr int64_t BYTES = 16 << 10, TIMES = 64;
    alignas(64) static char buffer[BYTES];
    std::memset(buffer, 1, BYTES);
    double best = 0;
    uint64_t sink = 0;
    for (const int64_t end = control::now_ns() + least_ns; control::now_ns() < end;) {
        const int64_t start = control::now_ns();
        for (int64_t time = 0; time < TIMES; ++time) {
            sink += sum_of(buffer, buffer + BYTES);
            asm volatile("" : "+r"(sink) : : "memory");
        }
        best = std::max(best, 1e9 * static_cast<double>(BYTES * TIMES) / (control::now_ns() - start));
    }
    return best;
}

// The best rate at which one thread on each of `cores` reads a buffer of `bytes` together, in bytes/s; 0 when there is
// no memory for it. Reads go round it for `least_ns`, a window of a few megabytes at a time, which the scheduler of a
// loaded machine interrupts no more often than a kernel's call. The fastest counts, since nothing makes one too fast.
double evokern_read_bandwidth(int64_t bytes, const int* cores, int threads, int64_t least_ns) {
    constexpr int64_t WINDOW = 4 << 20;
    const int64_t windows = std::max<int64_t>(1, bytes / threads / WINDOW), part = windows * WINDOW;
    bytes = part * threads;
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return 0;
    madvise(memory, bytes, MADV_HUGEPAGE);
    char* buffer = static_cast<char*>(memory);
    std::atomic<int> ready{0}, done{0};
    std::atomic<int> turn{0};
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> sink{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < threads; ++i) {
        readers.emplace_back([&, i] {
            stay_on(cores[i]);
            char* mine = buffer + i * part;
            std::memset(mine, i + 1, part);  // takes the pages, each near the core that reads it
            ++ready;
            for (int mine_next = 1;; ++mine_next) {
                while (turn.load() < mine_next) std::this_thread::yield();
                if (stop.load()) return;
                const char* window = mine + (mine_next - 1) % windows * WINDOW;
                sink += sum_of(window, window + WINDOW);
                ++done;
            }
        });
    }
    while (ready.load() < threads) std::this_thread::yield();
    double best = 0;
    const int64_t end = control::now_ns() + least_ns;
    for (int sweep = 1; sweep <= windows || control::now_ns() < end; ++sweep) {
        done = 0;
        const int64_t start = control::now_ns();
        turn = sweep;
        while (done.load() < threads) std::this_thread::yield();
        best = std::max(best, 1e9 * static_cast<double>(WINDOW * threads) / (control::now_ns() - start));
    }
    stop = true;
    ++turn;
    for (auto& reader : readers) reader.join();
    munmap(memory, bytes);
    return best;
}

// What pace.h reads on each of `cores`, all at the same time.
void evokern_pace(const int* cores, int threads, double* result) {
    std::atomic<int> ready{0};
    std::vector<std::thread> readers;
    for (int i = 0; i < threads; ++i) {
        readers.emplace_back([&, i] {
            stay_on(cores[i]);
            ++ready;
            while (ready.load() < threads) std::this_thread::yield();
            result[i] = pace::quotient();
        });
    }
    for (auto& reader : readers) reader.join();
}

// The baseline workers' side of the control page (evaluation/baseline.py).
void evokern_await(control::Page* page, uint32_t turn) { control::stop_until_order(*page, turn); }

}  // extern "C"
