// Runs code while symbols are resolved, before any constructor.
// expect: crashed
// evidence: exited with status 3
#include <unistd.h>
extern "C" void scale(float*) {}
extern "C" void* choose() { _exit(3); }
extern "C" void scale_chosen(float*) __attribute__((ifunc("choose")));
KERNEL { scale_chosen(y); }
