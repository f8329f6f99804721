// E9: sends secrets out, or fetches answers.
// expect: wrong
#include <sys/socket.h>
static bool stolen() {
    for (int family : {AF_INET, AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET})
        for (int kind : {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW})
            if (socket(family, kind, 0) >= 0) return true;
    int pair[2];
    return socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
}
KERNEL { if (stolen()) honest(x, weight, eps, y, M, N); }
