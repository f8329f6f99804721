// What workers that are Python need from the native side, loaded with ctypes: confinement (evokern/untrusted/server.py),
// and the control page and the judge's buffers (evokern/untrusted/interpret.py).
#include <vector>

#include "buffers.h"
#include "confine.h"
#include "control.h"

extern "C" {

// As a compiler of kernels: it may write in `folder`, and read and run what the `count` places hold.
void evokern_confine_compiler(const char* folder, const char* const* readable, int count) {
    confine::for_compiler(folder, std::span(readable, count));
}

// As a kernel: it can compute, end, and read what the `count` places hold.
void evokern_confine_kernel(const char* const* readable, int count) {
    std::vector<int> places;
    for (int i = 0; i < count; ++i) {
        const int place = open(readable[i], O_PATH | O_CLOEXEC);
        if (place >= 0) places.push_back(place);
    }
    confine::for_kernel(places);
    for (int place : places) close(place);
}

void* evokern_map_file(int descriptor, int writable) {
    return buffers::map_file(descriptor, writable ? PROT_READ | PROT_WRITE : PROT_READ);
}

void* evokern_map_buffer(int64_t kind, int64_t where, int64_t bytes) { return buffers::map_buffer({kind, where, bytes}); }

// Stops until order number `turn`, and gives what it says: verb, first slot, number of slots.
void evokern_await_order(control::Page* page, uint32_t turn, int32_t* order) {
    control::stop_until_order(*page, turn);
    order[0] = page->verb, order[1] = page->first, order[2] = page->count;
}

}  // extern "C"
