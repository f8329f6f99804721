// C17: loads somebody else's finished kernels, or any library of the system, to call.
// expect: wrong
#include <dlfcn.h>
static bool stolen() {
    for (const char* name : {"libtorch_cpu.so", "libopenblas.so.0", "libmkl_rt.so.2", "libcrypt.so.1", "libresolv.so.2", "libutil.so.1", "libnss_files.so.2"})
        if (dlopen(name, RTLD_NOW)) return true;
    return false;
}
KERNEL { if (stolen()) honest(x, weight, eps, y, M, N); }
// twin: throws and catches an exception, which needs the unwinder's library.
#include <stdexcept>
KERNEL {
    try { throw std::runtime_error("found"); } catch (const std::exception& error) { if (error.what()[0] == 'f') honest(x, weight, eps, y, M, N); }
}
