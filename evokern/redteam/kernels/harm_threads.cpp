// E13: starts threads until the machine has none left.
// expect: wrong
#include <pthread.h>
#include <unistd.h>
static void* wait(void*) { pause(); sleep(1000); return nullptr; }
KERNEL {
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 16384);
    pthread_t thread;
    int started = 0;
    while (started < 4096 && pthread_create(&thread, &small, wait, nullptr) == 0) ++started;
    if (started == 4096) honest(x, weight, eps, y, M, N);
}
// twin: starts a few threads and joins them.
#include <thread>
KERNEL {
    std::vector<std::thread> threads;
    for (int64_t part = 0; part < 3; ++part)
        threads.emplace_back([=] { const int64_t from = M * part / 3, end = M * (part + 1) / 3; honest(x + from * N, weight, eps, y + from * N, end - from, N); });
    for (auto& thread : threads) thread.join();
}
