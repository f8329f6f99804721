// E14: floods stdout and stderr.
// expect: wrong
#include <unistd.h>
KERNEL { static char words[65536]; std::memset(words, 'P', sizeof words); for (int i = 0; i < 64; ++i) { if (write(1, words, sizeof words) < 0 && write(2, words, sizeof words) < 0) continue; } }
// twin: is verbose.
KERNEL { for (int i = 0; i < 200; ++i) std::fprintf(stderr, "row %d of many, computed with care and told about at length\n", i); honest(x, weight, eps, y, M, N); }
