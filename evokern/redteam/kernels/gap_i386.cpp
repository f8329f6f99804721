// E23: makes system calls the way 32-bit programs do.
// expect: crashed
// evidence: SIGS
KERNEL {
    long process = 20;
    __asm__ volatile("int $0x80" : "+a"(process) : : "memory", "r8", "r9", "r10", "r11");
    if (process > 0) honest(x, weight, eps, y, M, N);
}
