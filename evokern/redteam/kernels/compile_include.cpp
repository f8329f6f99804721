// Reads a file of the machine while it is being compiled.
// expect: compile_failed
// evidence: ermission denied
KERNEL { static const char text[] = {
#include "/etc/passwd"
}; if (text[0]) honest(x, weight, eps, y, M, N); }
// twin: includes standard headers.
#include <algorithm>
#include <numeric>
#include <optional>
#include <random>
KERNEL { std::optional<int> one = 1; if (*one) honest(x, weight, eps, y, M, N); }
