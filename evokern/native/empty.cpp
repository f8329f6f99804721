// A kernel of ours that does nothing, in one parallel region: what a window costs beside its calls (evaluation/cpu.py).
// It is its own caller, too.
extern "C" void kernel() {
#pragma omp parallel
    asm volatile("" ::: "memory");
}

extern "C" void evokern_call(void (*entry)(), void**) { entry(); }
