// D2: returns at once and lets a thread write the rest.
// expect: wrong
#include <thread>
KERNEL {
    std::thread([=] { honest(x + M / 8 * N, weight, eps, y + M / 8 * N, M - M / 8, N); }).detach();
    honest(x, weight, eps, y, M / 8, N);
}
// twin: lets a thread write a half, and waits for it.
#include <thread>
KERNEL {
    std::thread other([=] { honest(x + M / 2 * N, weight, eps, y + M / 2 * N, M - M / 2, N); });
    honest(x, weight, eps, y, M / 2, N);
    other.join();
}
