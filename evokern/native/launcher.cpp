// Runs a compiler with few rights, or tells which layers of confinement this system has.
//
//     launcher FOLDER READABLE... -- PROGRAM WORD...      (evokern/toolchain/compiler.py)
//     launcher                                            (evokern/toolchain/confinement.py)
#include <cstring>

#include "confine.h"

int main(int count, char** words) {
    if (count == 1) {
        const confine::Layers reached = confine::for_kernel({});
        std::printf("%d %d %d %d\n", reached.own_user, reached.powerless, reached.landlock, reached.filtered);
        return 0;
    }
    std::vector<const char*> readable;
    int at = 2;
    for (; at < count && std::strcmp(words[at], "--") != 0; ++at) readable.push_back(words[at]);
    if (at + 1 >= count) {
        std::fprintf(stderr, "usage: launcher FOLDER READABLE... -- PROGRAM WORD...\n");
        return 1;
    }
    confine::for_compiler(words[1], readable);
    execvp(words[at + 1], words + at + 1);
    std::perror(words[at + 1]);
    return 127;
}
