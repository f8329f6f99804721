// C2: writes zeros.
// expect: wrong
KERNEL { std::memset(y, 0, M * N * sizeof(float)); }
