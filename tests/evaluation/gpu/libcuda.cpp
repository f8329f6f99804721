// Stands in for libcuda where there is no card (EVOKERN_LIBCUDA): host memory for the card's, host functions for kernels.
//
// A "cubin" is a shared library. Kernel K is `extern "C" int K(void** arguments, const unsigned* launched)`, which gets the
// grid and how many blocks make a cluster; the sizes of its parameters are in `extern "C" const long K_sizes[]`, ended by
// 0; what it returns but 0 is an error that stays. PTX is the launcher's own kernel. Work is done when it is launched.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <dlfcn.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

namespace {

using u64 = uint64_t;
enum { OK = 0, INVALID = 1, NO_MEMORY = 2, NOT_FOUND = 500, ILLEGAL_ADDRESS = 700, ALREADY_PINNED = 712 };
constexpr unsigned CLUSTER_DIMENSION = 4;
constexpr u64 MEMORY = u64{1} << 30;
constexpr u64 FAR = 0x9E3779B97F4A7C15ull;

struct Function {
    int (*call)(void**, const unsigned*);
    const long* sizes;
};
struct Attribute {  // as cuda.h has it, and the next
    unsigned id, padding, value[16];
};
struct Config {
    unsigned grid[3], block[3], shared;
    void* stream;
    const Attribute* attributes;
    unsigned count;
};
struct Graph {
    std::vector<std::function<int()>> nodes;
};
struct Event {
    int64_t ns;
};

int error_so_far = OK;
bool watched = false;
u64 allocated = 0;
std::map<u64, u64> sizes_of;
std::map<u64, u64> pinned;
Graph* capturing = nullptr;

int64_t now_ns() {
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

int digest(void** arguments, const unsigned*) {
    const auto* words = *static_cast<const u64**>(arguments[0]);
    const u64 vectors = *static_cast<u64*>(arguments[1]);
    u64 sum = 0;
    for (u64 i = 0; i < vectors; ++i) sum += words[2 * i] * (2 * i + 1) + words[2 * i + 1] * (2 * i + 1 + FAR);
    **static_cast<u64**>(arguments[2]) += sum;
    return OK;
}
const long digest_sizes[] = {8, 8, 8, 0};

int remembered(int code) {
    if (code != OK && code != INVALID && code != NO_MEMORY) error_so_far = code;
    return code;
}

}  // namespace

extern "C" {

int cuInit(unsigned) { return OK; }
int cuDriverGetVersion(int* version) { return *version = 13000, OK; }
int cuDeviceGet(int* device, int) { return *device = 0, OK; }
int cuDeviceGetName(char* name, int size, int) { return std::strncpy(name, "stand-in", size), OK; }
int cuDeviceGetAttribute(int* value, int attribute, int) {
    *value = attribute == 16 ? 4 : attribute == 38 ? 1 << 18 : attribute == 75 ? 9 : 0;
    return OK;
}
int cuDevicePrimaryCtxRetain(u64* context, int) { return *context = 1, OK; }
int cuCtxSetCurrent(void*) { return OK; }
int cuCtxSetLimit(int, size_t) { return error_so_far; }
int cuCtxResetPersistingL2Cache() { return error_so_far; }
int cuMemGetInfo_v2(size_t* free, size_t* total) { return *free = MEMORY - allocated, *total = MEMORY, OK; }

int cuMemAlloc_v2(u64* address, size_t size) {
    if (error_so_far) return error_so_far;
    if (allocated + size > MEMORY) return NO_MEMORY;
    *address = reinterpret_cast<u64>(std::aligned_alloc(256, (size + 255) / 256 * 256));
    sizes_of[*address] = size;
    allocated += size;
    return OK;
}
int cuMemFree_v2(u64 address) {
    allocated -= sizes_of[address];
    return std::free(reinterpret_cast<void*>(address)), OK;
}
int cuMemHostRegister_v2(void* place, size_t size, unsigned) {
    const u64 start = reinterpret_cast<u64>(place);
    for (const auto& [other, length] : pinned)
        if (start < other + length && other < start + size) return ALREADY_PINNED;
    return pinned[start] = size, OK;
}
int cuMemHostUnregister(void* place) { return pinned.erase(reinterpret_cast<u64>(place)) ? OK : INVALID; }
int ranges_pinned() { return static_cast<int>(pinned.size()); }
int cuMemcpyHtoDAsync_v2(u64 to, const void* from, size_t size, void*) {
    return std::memcpy(reinterpret_cast<void*>(to), from, size), error_so_far;
}
int cuMemcpyDtoHAsync_v2(void* to, u64 from, size_t size, void*) {
    return std::memcpy(to, reinterpret_cast<void*>(from), size), error_so_far;
}
int cuMemcpyDtoDAsync_v2(u64 to, u64 from, size_t size, void*) {
    return std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), size), error_so_far;
}
int cuMemsetD32Async(u64 to, unsigned word, size_t count, void*) {
    for (size_t i = 0; i < count; ++i) reinterpret_cast<unsigned*>(to)[i] = word;
    return error_so_far;
}

int cuModuleLoadData(void** module, const char* image) {
    if (error_so_far) return error_so_far;
    if (std::memcmp(image, "\177ELF", 4) != 0) return *module = nullptr, OK;
    // An ELF image tells its own end: the section headers are its last part.
    u64 headers;
    uint16_t size, count;
    std::memcpy(&headers, image + 40, 8);
    std::memcpy(&size, image + 58, 2);
    std::memcpy(&count, image + 60, 2);
    const int file = memfd_create("module", 0);
    for (u64 at = 0, end = headers + u64{size} * count; at < end;) at += write(file, image + at, end - at);
    *module = dlopen(("/proc/self/fd/" + std::to_string(file)).c_str(), RTLD_NOW | RTLD_LOCAL);
    close(file);
    return *module ? OK : 200;
}
int cuModuleUnload(void* module) { return module ? dlclose(module) : 0, error_so_far; }
int cuModuleGetFunction(void** function, void* module, const char* name) {
    const std::string sizes = std::string(name) + "_sizes";
    auto* found = module ? new Function{reinterpret_cast<int (*)(void**, const unsigned*)>(dlsym(module, name)),
                                        static_cast<const long*>(dlsym(module, sizes.c_str()))}
                         : new Function{digest, digest_sizes};
    *function = found;
    return found->call && found->sizes ? OK : NOT_FOUND;
}
int cuFuncSetAttribute(void*, int, int value) { return value > 227 << 10 ? INVALID : OK; }
int cuFuncGetParamInfo(Function* function, size_t index, size_t* offset, size_t* size) {
    for (size_t i = 0; i <= index; ++i)
        if (!function->sizes[i]) return INVALID;
    return *offset = 8 * index, *size = function->sizes[index], OK;
}

static int launch(Function* function, const unsigned* grid, const unsigned* block, unsigned shared, unsigned cluster,
                  void** arguments) {
    if (error_so_far) return error_so_far;
    if (block[0] * block[1] * block[2] > 1024 || shared > 227 << 10) return INVALID;
    if (cluster < 1 || cluster > 8 || grid[0] % cluster) return INVALID;
    if (watched) std::fprintf(stderr, "watched a launch of %u blocks\n", grid[0]);
    std::vector<std::vector<char>> kept;
    for (int i = 0; function->sizes[i]; ++i) {
        const char* value = static_cast<char*>(arguments[i]);
        kept.emplace_back(value, value + function->sizes[i]);
    }
    auto node = [function = *function, kept, x = grid[0], y = grid[1], z = grid[2], cluster]() mutable {
        std::vector<void*> places;
        for (auto& value : kept) places.push_back(value.data());
        const unsigned launched[] = {x, y, z, cluster};
        return function.call(places.data(), launched);
    };
    if (capturing) return capturing->nodes.push_back(node), OK;
    return remembered(node());
}

int cuLaunchKernel(Function* function, unsigned x, unsigned y, unsigned z, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void*, void** arguments, void**) {
    const unsigned grid[] = {x, y, z}, block[] = {bx, by, bz};
    return launch(function, grid, block, shared, 1, arguments);
}
int cuLaunchKernelEx(const Config* config, Function* function, void** arguments, void**) {
    unsigned cluster = 1;
    for (unsigned i = 0; i < config->count; ++i)
        if (config->attributes[i].id == CLUSTER_DIMENSION) cluster = config->attributes[i].value[0];
    return launch(function, config->grid, config->block, config->shared, cluster, arguments);
}

int cuProfilerStart() { return watched = true, OK; }
int cuProfilerStop() { return watched = false, OK; }

int cuStreamCreate(u64* stream, unsigned) { return *stream = 1, OK; }
int cuStreamSynchronize(void*) { return error_so_far; }
int cuStreamBeginCapture_v2(void*, int) { return capturing = new Graph, error_so_far; }
int cuStreamEndCapture(void*, Graph** graph) { return *graph = capturing, capturing = nullptr, OK; }
int cuGraphInstantiateWithFlags(Graph** made, Graph* graph, u64) { return *made = new Graph(*graph), OK; }
int cuGraphUpload(Graph*, void*) { return OK; }
int cuGraphLaunch(Graph* graph, void*) {
    for (auto& node : graph->nodes)
        if (!error_so_far) remembered(node());
    return OK;  // as on a card, what went wrong shows when somebody waits
}
int cuGraphExecDestroy(Graph* graph) { return delete graph, OK; }
int cuGraphDestroy(Graph* graph) { return delete graph, OK; }

int cuEventCreate(Event** event, unsigned) { return *event = new Event{0}, OK; }
int cuEventRecord(Event* event, void*) { return event->ns = now_ns(), error_so_far; }
int cuEventElapsedTime(float* milliseconds, Event* from, Event* to) {
    return *milliseconds = (to->ns - from->ns) / 1e6f, error_so_far;
}

int cuGetErrorName(int code, const char** name) {
    *name = code == NO_MEMORY         ? "CUDA_ERROR_OUT_OF_MEMORY"
            : code == INVALID         ? "CUDA_ERROR_INVALID_VALUE"
            : code == ILLEGAL_ADDRESS ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                                      : "CUDA_ERROR_UNKNOWN";
    return OK;
}
int cuGetErrorString(int, const char** text) { return *text = "as a card would say", OK; }

}  // extern "C"
