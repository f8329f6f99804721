// Takes rights away from this process, for good, while it has one thread and nothing untrusted in it. Used by runner.cpp
// for a kernel and by launcher.cpp for a compiler. No layer suffices alone, and none is everywhere: each is put on where
// the system has it, and the result says which (evokern/toolchain/confinement.py tells the user).
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp.h"

namespace confine {

struct Layers {
    bool own_user = false;    // a user id that no other process has, so that nothing may be signalled or opened
    bool powerless = false;   // no capability, and no way to one
    int landlock = 0;         // its version: 4 restricts TCP, 6 signals and abstract sockets
    bool filtered = false;    // system calls
};

// Version 6's attributes, whatever the headers of this machine know.
struct Landlocked {
    uint64_t files = 0, network = 0, scopes = 0;
};
constexpr uint64_t EXECUTE = 1 << 0, WRITE = 1 << 1, READ = 1 << 2, LIST = 1 << 3, ON_A_FILE = EXECUTE | WRITE | READ;

// A set of places, each with what may be done there; nothing may be done anywhere else.
class Places {
  public:
    Places() : version_(static_cast<int>(syscall(SYS_landlock_create_ruleset, nullptr, 0, 1 /* its version */))) {
        if (version_ < 1) return;
        const int file_rights = version_ >= 5 ? 16 : version_ >= 3 ? 15 : version_ == 2 ? 14 : 13;
        everything_ = (uint64_t{1} << file_rights) - 1;
        Landlocked handled{everything_, version_ >= 4 ? 3U : 0U, version_ >= 6 ? 3U : 0U};
        const size_t size = version_ >= 6 ? sizeof handled : version_ >= 4 ? 16 : 8;
        rules_ = static_cast<int>(syscall(SYS_landlock_create_ruleset, &handled, size, 0));
    }

    void allow(int place, uint64_t rights) {
        struct stat status;
        if (rules_ < 0 || fstat(place, &status) != 0) return;
        if (!S_ISDIR(status.st_mode)) rights &= ON_A_FILE;
        landlock_path_beneath_attr rule{rights & everything_, place};
        syscall(SYS_landlock_add_rule, rules_, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    }

    void allow(const char* path, uint64_t rights) {
        const int place = open(path, O_PATH | O_CLOEXEC);  // what is not there needs no rule
        if (place < 0) return;
        allow(place, rights);
        close(place);
    }

    uint64_t everything() const { return everything_; }

    // Its version, or 0 when this system cannot do it.
    int enforce() {
        const bool done = rules_ >= 0 && syscall(SYS_landlock_restrict_self, rules_, 0) == 0;
        if (rules_ >= 0) close(rules_);
        return done ? version_ : 0;
    }

  private:
    int version_, rules_ = -1;
    uint64_t everything_ = 0;
};

inline __user_cap_header_struct capability_header() { return {_LINUX_CAPABILITY_VERSION_3, 0}; }

inline bool is_capable(int capability) {
    auto header = capability_header();
    __user_cap_data_struct sets[2] = {};
    syscall(SYS_capget, &header, sets);
    return sets[capability / 32].effective >> capability % 32 & 1;
}

// Root becomes a user that nobody is. Only where its starter, who has the same rights, can still signal it then.
inline bool become_nobody() {
    if (geteuid() != 0 || !is_capable(CAP_SETUID) || !is_capable(CAP_SETGID) || !is_capable(CAP_KILL)) return false;
    char number[16] = {};  // of the whole system: within a namespace of process numbers many are alike
    if (readlink("/proc/self", number, sizeof number - 1) <= 0) std::snprintf(number, sizeof number, "%d", getpid());
    const auto unused = static_cast<uid_t>(0x7e00'0000 + std::atoi(number));  // above every range that systems hand out
    for (uid_t user : {unused, uid_t{65534}}) {
        if (setgroups(0, nullptr) == 0 && setresgid(user, user, user) == 0 && setresuid(user, user, user) == 0)
            return true;
    }
    return false;
}

inline bool drop_capabilities() {
    for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) continue;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    auto header = capability_header();
    const __user_cap_data_struct none[2] = {};
    return syscall(SYS_capset, &header, none) == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

// The limit counts every thread of the user, and there are no more of those than of the whole system.
inline void limit_threads(unsigned own) {
    unsigned present = 0;
    if (FILE* load = std::fopen("/proc/loadavg", "re")) {
        if (std::fscanf(load, "%*s %*s %*s %*u/%u", &present) == 1) {
            const rlimit most{present + own, present + own};
            setrlimit(RLIMIT_NPROC, &most);
        }
        std::fclose(load);
    }
}

// When memory runs out, the system shall end this process and not the judge.
inline void volunteer_for_memory_shortage() {
    const int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file < 0) return;
    [[maybe_unused]] const ssize_t written = write(file, "1000", 4);
    close(file);
}

inline void hide() {  // from others of the same user; what changes the user's id undoes both
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_DUMPABLE, 0);
}

// Whether a user that nobody is may still read it, and come to it by its path if it is a folder (files are read by
// their descriptor).
inline bool anybody_reads(int place) {
    struct stat here;
    if (fstat(place, &here) != 0 || !(here.st_mode & S_IROTH)) return false;
    if (!S_ISDIR(here.st_mode)) return true;
    int folder = fcntl(place, F_DUPFD_CLOEXEC, 0);
    for (bool is_open = here.st_mode & S_IXOTH; is_open && folder >= 0;) {
        const int above = openat(folder, "..", O_PATH | O_CLOEXEC);
        close(folder);
        folder = above;
        struct stat there;
        if (above < 0 || fstat(above, &there) != 0) break;
        if (there.st_ino == here.st_ino && there.st_dev == here.st_dev) {
            close(above);
            return true;  // the root is its own parent
        }
        is_open = there.st_mode & S_IXOTH;
        here = there;
    }
    if (folder >= 0) close(folder);
    return false;
}

constexpr unsigned MOST_THREADS = 512;

// For a process that will load a kernel: it may read `files` (libraries or folders, already open), and compute.
// `shared`: see filter_kernel.
inline Layers for_kernel(std::span<const int> files, std::span<const int> shared = {}) {
    Layers reached;
    bool readable = true;
    Places places;
    for (int file : files) {
        readable = readable && anybody_reads(file);
        places.allow(file, READ | EXECUTE | LIST);
    }
    places.allow("/sys/devices/system/cpu", READ | LIST);  // OpenMP and the C library count cores
    volunteer_for_memory_shortage();
    limit_threads(MOST_THREADS);
    reached.own_user = readable && become_nobody();
    reached.powerless = drop_capabilities();
    hide();
    const auto earlier = reached.own_user ? std::vector<Run>{} : earlier_above(static_cast<uint32_t>(getpid()));
    reached.landlock = places.enforce();
    reached.filtered = filter_kernel(reached.own_user, earlier, shared);
    return reached;
}

// For a compiler: it may write in `folder`, read and run what `readable` hold, and start programs.
template <typename Paths>
Layers for_compiler(const char* folder, const Paths& readable) {
    Layers reached;
    Places places;
    places.allow(folder, places.everything());
    places.allow("/dev/null", READ | WRITE);
    for (const char* path : readable) places.allow(path, READ | LIST | EXECUTE);
    volunteer_for_memory_shortage();
    reached.powerless = drop_capabilities();
    hide();
    reached.landlock = places.enforce();
    reached.filtered = filter_compiler();
    return reached;
}

}  // namespace confine
