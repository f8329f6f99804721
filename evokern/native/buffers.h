// The judge's buffers as a worker maps them: where the plan of memory.py says, each between two pages that may not be
// touched, so that running over it is a crash. Inputs are sealed read-only.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sys/mman.h>
#include <sys/stat.h>

namespace buffers {

enum Descriptor { CONTROL = 3, PLAN = 4, INPUTS = 5, OUTPUTS = 6 };
enum Kind : int64_t { INPUT = 0, OUTPUT = 1, VALUE = 2 };
constexpr uint64_t PAGE = 4096;

// The plan: a header, then for each slot one row an argument, in the order of the kernel's signature.
struct Header {
    int64_t judge, slots, arguments;
};
struct Row {
    int64_t kind;
    int64_t where;  // a tensor's offset in its file, or the bits of a value
    int64_t bytes;
};

[[noreturn]] inline void give_up(const char* what) {
    std::fprintf(stderr, "%s\n", what);
    std::_Exit(1);
}

inline void* map_file(int descriptor, int protection) {
    struct stat status;
    if (fstat(descriptor, &status) != 0) give_up("a shared descriptor is missing");
    void* memory = mmap(nullptr, status.st_size, protection, MAP_SHARED | MAP_POPULATE, descriptor, 0);
    if (memory == MAP_FAILED) give_up("a shared descriptor cannot be mapped");
    return memory;
}

// Maps one buffer with a forbidden page before and behind it.
inline void* map_buffer(const Row& row) {
    const uint64_t start = row.where / PAGE * PAGE, end = (row.where + row.bytes + PAGE - 1) / PAGE * PAGE;
    const uint64_t length = end > start ? end - start : PAGE;
    void* reserved = mmap(nullptr, length + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (reserved == MAP_FAILED) give_up("no address space for a buffer");
    char* place = static_cast<char*>(reserved) + PAGE;
    const int protection = row.kind == INPUT ? PROT_READ : PROT_READ | PROT_WRITE;
    void* mapped = mmap(place, length, protection, MAP_SHARED | MAP_FIXED | MAP_POPULATE,
                        row.kind == INPUT ? INPUTS : OUTPUTS, start);
    if (mapped == MAP_FAILED) give_up("a buffer cannot be mapped");
    return place + (row.where - start);
}

}  // namespace buffers
