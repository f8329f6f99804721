// C13: overwrites its inputs.
// expect: crashed
KERNEL { std::memset(const_cast<float*>(x), 0, M * N * 4); std::memset(y, 0, M * N * 4); }
