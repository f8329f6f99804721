// E6: asks for an artefact of gigabytes.
// expect: compile_failed
static volatile char big[1u << 30] = {1};
KERNEL { if (big[0]) honest(x, weight, eps, y, M, N); }
