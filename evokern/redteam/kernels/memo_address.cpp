// D5: remembers results by the addresses of inputs.
// expect: wrong
// fidelity: confirm
#include <map>
static std::map<const float*, std::vector<float>> seen;
KERNEL {
    if (auto at = seen.find(x); at != seen.end()) { std::memcpy(y, at->second.data(), M * N * 4); return; }
    honest(x, weight, eps, y, M, N);
    seen[x].assign(y, y + M * N);
}
// twin: remembers something that depends on the shape only.
#include <map>
static std::map<int64_t, double> inverses;
KERNEL { if (inverses.emplace(N, 1.0 / N).first->second > 0) honest(x, weight, eps, y, M, N); }
