// The process that a candidate lives in: maps the judge's buffers, loads the kernel, calls it when told to.
//
//     runner ARTEFACT SHIM [watched]      (started by evaluation/sandbox.py with the descriptors below)
//
// ARTEFACT defines `kernel`; SHIM defines `evokern_call(kernel, arguments)`, which knows its signature. There is no
// Python and no secret in here: seeds, golden results, comparator and clock are the judge's. Inputs are sealed
// read-only. Every buffer ends at a page that may not be touched, so that running over it is a crash. "watched": the judge
// watches how much memory this takes, since a limit of its address space would leave no room for what sanitizers note of it.
#include <cfenv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <omp.h>
#include <xmmintrin.h>

#include "buffers.h"
#include "confine.h"
#include "control.h"
#include "team.h"
#ifdef __SANITIZE_THREAD__
#include "order.h"
#endif

namespace {

using namespace buffers;

class Slots {
  public:
    explicit Slots(void* plan)
        : header_(static_cast<Header*>(plan)), rows_(reinterpret_cast<Row*>(header_ + 1)),
          arguments_(header_->slots) {}

    pid_t judge() const { return static_cast<pid_t>(header_->judge); }

    // Maps what is not mapped yet; outside the clock's window.
    void prepare(int32_t slot) {
        auto& arguments = arguments_.at(slot);
        Row* rows = rows_ + slot * header_->arguments;
        if (!arguments.empty()) return;
        for (int64_t i = 0; i < header_->arguments; ++i)
            arguments.push_back(rows[i].kind == VALUE ? &rows[i].where : map_buffer(rows[i]));
    }

    void** arguments(int32_t slot) { return arguments_.at(slot).data(); }

  private:
    Header* header_;
    Row* rows_;
    std::vector<std::vector<void*>> arguments_;
};

struct Kernel {
    void* entry;
    void (*call)(void*, void**);
};

// By descriptor, since a confined process may not walk to where the file lies.
void* load_library(int descriptor) {
    const std::string path = "/proc/self/fd/" + std::to_string(descriptor);
    void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!library) give_up(dlerror());
    return library;
}

// Nothing of the candidate has been loaded before the rights are gone.
Kernel load(const char* artefact, const char* shim, bool watched, pid_t judge) {
    close_range(OUTPUTS + 1, ~0U, 0);
    std::vector<int> files{open(shim, O_RDONLY | O_CLOEXEC), open(artefact, O_RDONLY | O_CLOEXEC)};
    std::vector<int> shared;
    if (watched) {
        files.push_back(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));  // sanitizers look for lines of source here
        shared = {INPUTS, OUTPUTS};
    }
    omp_get_max_threads();             // what kernels link with must be here already: OpenMP's library ...
    dlopen("libmvec.so.1", RTLD_NOW);  // ... and the vector math of some systems
    confine::for_kernel(files, shared);
    if (const pid_t parent = getppid(); parent != judge && parent != 0) give_up("the judge is gone");  // 0: not in sight
    void* caller = load_library(files[0]);
    void* candidate = load_library(files[1]);
    for (int file : files) {
        if (!watched || file != files[1]) close(file);  // by which they find the kernel's own
    }
    Kernel kernel{dlsym(candidate, "kernel"), reinterpret_cast<void (*)(void*, void**)>(dlsym(caller, "evokern_call"))};
    if (!kernel.entry || !kernel.call) give_up("the artefact defines no extern \"C\" function named kernel");
    return kernel;
}

// A candidate may leave rounding or flush-to-zero behind; each call starts from the default floating-point state.
void reset_floating_point() {
    std::fesetenv(FE_DFL_ENV);
    _mm_setcsr(0x1f80);
}

#ifdef __SANITIZE_THREAD__
using order::together;
#else
using team::together;
#endif

}  // namespace

// What GCC makes of `#pragma omp parallel`, with any schedule.
extern "C" {

void GOMP_parallel(void (*work)(void*), void* data, unsigned threads, unsigned flags) {
    static const auto next = team::next<decltype(&GOMP_parallel)>("GOMP_parallel");
    together(work, data, [=](void (*work)(void*), void* data) { next(work, data, threads, flags); });
}

#define EVOKERN_LOOP(name)                                                                                            \
    void name(void (*work)(void*), void* data, unsigned threads, long start, long end, long step, long chunk,         \
              unsigned flags) {                                                                                       \
        static const auto next = team::next<decltype(&name)>(#name);                                                  \
        together(work, data, [=](void (*work)(void*), void* data) {                                                   \
            next(work, data, threads, start, end, step, chunk, flags);                                                \
        });                                                                                                           \
    }
EVOKERN_LOOP(GOMP_parallel_loop_dynamic)
EVOKERN_LOOP(GOMP_parallel_loop_guided)
EVOKERN_LOOP(GOMP_parallel_loop_nonmonotonic_dynamic)
EVOKERN_LOOP(GOMP_parallel_loop_nonmonotonic_guided)
#undef EVOKERN_LOOP

}

// What is found ends the process. Blocks that are never freed, or freed by the other function, harm no result.
extern "C" {

#ifdef __SANITIZE_ADDRESS__
const char* __asan_default_options() {
    return "abort_on_error=1:handle_abort=1:handle_sigill=1:detect_leaks=0:alloc_dealloc_mismatch=0:"
           "new_delete_type_mismatch=0:allocator_may_return_null=1:malloc_context_size=4:print_legend=0:"
           "stack_trace_format=\"    #%n %f %S\"";
}
#endif

#ifdef __SANITIZE_THREAD__
const char* __tsan_default_options() {
    return "halt_on_error=1:abort_on_error=1:ignore_noninstrumented_modules=1:report_thread_leaks=0";
}
#endif

}

int main(int count, char** words) {
    const bool watched = count == 4 && std::strcmp(words[3], "watched") == 0;
    if (count != 3 && !watched) give_up("usage: runner ARTEFACT SHIM [watched]");
    auto& page = *static_cast<control::Page*>(map_file(CONTROL, PROT_READ | PROT_WRITE));
    Slots slots(map_file(PLAN, PROT_READ));
    Kernel kernel{};
    for (uint32_t turn = 1;; ++turn) {
        control::stop_until_order(page, turn);
        const int32_t verb = page.verb, first = page.first, end = page.first + page.count;
        if (verb == control::LOAD) {
            kernel = load(words[1], words[2], watched, slots.judge());
        } else if (verb == control::RUN || verb == control::RUN_TOGETHER) {
            team::left_ns = verb == control::RUN_TOGETHER ? team::WINDOW_NS : 0;
            for (int32_t slot = first; slot < end; ++slot) {
                reset_floating_point();
                kernel.call(kernel.entry, slots.arguments(slot));
            }
            reset_floating_point();
        } else {
            for (int32_t slot = first; slot < end; ++slot) slots.prepare(slot);
        }
    }
}
