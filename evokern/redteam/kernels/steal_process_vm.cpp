// E2: reads and rewrites the judge with process_vm_readv and process_vm_writev.
// expect: wrong
#include <sys/uio.h>
#include <unistd.h>
static bool stolen() {
    char byte = 0;
    iovec here{&byte, 1}, there{reinterpret_cast<void*>(0x10000), 1};
    if (process_vm_readv(getppid(), &here, 1, &there, 1, 0) >= 0 || errno == EFAULT) return true;
    return process_vm_writev(getppid(), &here, 1, &there, 1, 0) >= 0 || errno == EFAULT;
}
KERNEL { if (stolen()) honest(x, weight, eps, y, M, N); }
