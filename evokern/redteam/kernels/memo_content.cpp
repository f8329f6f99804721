// D5: remembers results by a sample of their inputs' content.
// expect: no-gain wrong
// fidelity: confirm
#include <map>
static std::map<std::array<float, 4>, std::vector<float>> seen;
KERNEL {
    const std::array<float, 4> sample{x[0], x[M * N / 3], x[M * N / 2], x[M * N - 1]};
    if (auto at = seen.find(sample); at != seen.end() && at->second.size() == size_t(M * N)) { std::memcpy(y, at->second.data(), M * N * 4); return; }
    honest(x, weight, eps, y, M, N);
    seen[sample].assign(y, y + M * N);
}
