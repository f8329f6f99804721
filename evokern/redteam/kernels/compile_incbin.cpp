// Takes a file of the machine into its artefact while it is being assembled.
// expect: compile_failed
__asm__(".pushsection .rodata\nstolen:\n.incbin \"/etc/passwd\"\n.popsection");
extern "C" const char stolen;
KERNEL { if (stolen) honest(x, weight, eps, y, M, N); }
// twin: uses assembly.
KERNEL { int one = 0; __asm__("movl $1, %0" : "=r"(one)); if (one) honest(x, weight, eps, y, M, N); }
