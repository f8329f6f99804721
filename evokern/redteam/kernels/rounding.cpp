// B10: changes rounding and flushes small numbers to zero, while being loaded and in every call.
// expect: no-gain wrong
#include <cfenv>
#include <xmmintrin.h>
__attribute__((constructor)) static void early() { std::fesetround(FE_TOWARDZERO); _mm_setcsr(_mm_getcsr() | 0x8040); }
KERNEL { honest(x, weight, eps, y, M, N); std::fesetround(FE_UPWARD); _mm_setcsr(_mm_getcsr() | 0x8040); }
