// Which system calls a confined process may make, as a seccomp filter. Two policies: a kernel's process gets a list of
// what computing needs and nothing else; a compiler, a tree of programs that are not ours, gets all but a list.
//
// A filter sees numbers, not what pointers point to: hence clone3 (flags in memory) does not exist for a kernel, and
// io_uring, which does work that no filter sees, exists for nobody.
#pragma once

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include <dirent.h>
#include <fcntl.h>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <ctime>

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace confine {

#if defined(__x86_64__)
constexpr uint32_t ARCHITECTURE = AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
constexpr uint32_t ARCHITECTURE = AUDIT_ARCH_AARCH64;
#else
#error "evokern knows the system calls of x86-64 and aarch64"
#endif

constexpr uint32_t ALLOW = SECCOMP_RET_ALLOW, KILL = SECCOMP_RET_KILL_PROCESS;
constexpr uint32_t REFUSE = SECCOMP_RET_ERRNO | EPERM, UNKNOWN = SECCOMP_RET_ERRNO | ENOSYS;

// Numbers of processes and threads without a gap, both ends included.
struct Run {
    uint32_t first, last;
};

// What was there before this process and has a higher number all the same: once numbers are used up they start again
// from the lowest.
inline std::vector<Run> earlier_above(uint32_t process) {
    std::vector<uint32_t> found;
    const auto collect = [](const char* folder, auto each) {
        DIR* entries = opendir(folder);
        if (entries == nullptr) return;
        while (const dirent* entry = readdir(entries)) {
            if (const long number = std::atol(entry->d_name); number > 0) each(static_cast<uint32_t>(number));
        }
        closedir(entries);
    };
    collect("/proc", [&](uint32_t other) {
        const std::string tasks = "/proc/" + std::to_string(other) + "/task";
        if (other == process) return;
        collect(tasks.c_str(), [&](uint32_t task) {
            if (task > process) found.push_back(task);
        });
    });
    std::sort(found.begin(), found.end());
    std::vector<Run> runs;
    for (uint32_t task : found) {
        if (runs.empty() || task > runs.back().last + 1) runs.push_back({task, task});
        runs.back().last = task;
    }
    return runs;
}

class Filter {
  public:
    Filter() {
        load(offsetof(seccomp_data, arch));
        add(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0);
        end(KILL);
        load(offsetof(seccomp_data, nr));
#ifdef __x86_64__
        add(BPF_JMP | BPF_JGE | BPF_K, 0x4000'0000, 0, 1);  // x32: the same calls under other numbers
        end(KILL);
#endif
    }

    void all(std::initializer_list<long> calls, uint32_t action) {
        for (long call : calls) when(call, [&] { end(action); });
    }

    // Allows `call` if its argument number `index` is one of `values`, and otherwise refuses it.
    void only(long call, int index, std::initializer_list<uint32_t> values, uint32_t otherwise = REFUSE) {
        when(call, [&] {
            load_argument(index);
            for (uint32_t value : values) {
                add(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1);
                end(ALLOW);
            }
            end(otherwise);
        });
    }

    void only_with_flag(long call, int index, uint32_t flag) {
        when(call, [&] {
            load_argument(index);
            add(BPF_JMP | BPF_JSET | BPF_K, flag, 0, 1);
            end(ALLOW);
            end(REFUSE);
        });
    }

    // Refuses `call` if its argument number `index` is one of `values`.
    void never(long call, int index, std::span<const int> values) {
        when(call, [&] {
            load_argument(index);
            for (int value : values) {
                add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(value), 0, 1);
                end(REFUSE);
            }
            end(ALLOW);
        });
    }

    // Allows memory that is this process's own, and shared memory of `descriptors`.
    void share_only(std::span<const int> descriptors) {
        when(SYS_mmap, [&] {
            load_argument(3);
            add(BPF_JMP | BPF_JSET | BPF_K, MAP_SHARED, 1, 0);
            end(ALLOW);
            load_argument(4);
            for (int descriptor : descriptors) {
                add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(descriptor), 0, 1);
                end(ALLOW);
            }
            end(REFUSE);
        });
    }

    // Allows `call` on this process (0) and on what was started later, its own threads among it: on higher numbers,
    // but for those that are in `earlier`.
    void only_later(long call, int index, uint32_t process, std::span<const Run> earlier) {
        when(call, [&] {
            load_argument(index);
            add(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0);
            add(BPF_JMP | BPF_JGE | BPF_K, process, 1, 0);
            end(REFUSE);
            for (const Run& run : earlier) {
                add(BPF_JMP | BPF_JGE | BPF_K, run.first, 0, 2);
                add(BPF_JMP | BPF_JGT | BPF_K, run.last, 1, 0);
                end(REFUSE);
            }
            end(ALLOW);
        });
    }

    // Ends the filter and puts it on this process; false when the system has none.
    bool install(uint32_t otherwise) {
        end(otherwise);
        sock_fprog program{static_cast<unsigned short>(code_.size()), code_.data()};
        // Without SPEC_ALLOW older systems slow a filtered process down to guard it against itself.
        return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &program) == 0 ||
               prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
    }

  private:
    void add(uint16_t operation, uint32_t value, uint8_t yes, uint8_t no) {
        code_.push_back({operation, yes, no, value});
    }
    void load(size_t offset) { add(BPF_LD | BPF_W | BPF_ABS, static_cast<uint32_t>(offset), 0, 0); }
    void load_argument(int index) { load(offsetof(seccomp_data, args) + index * sizeof(uint64_t)); }
    void end(uint32_t action) { add(BPF_RET | BPF_K, action, 0, 0); }

    template <typename Body>
    void when(long call, Body body) {  // every path of the body ends the filter
        add(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(call), 1, 0);
        add(BPF_JMP | BPF_JA, 0, 0, 0);
        const size_t here = code_.size();
        body();
        code_[here - 1].k = static_cast<uint32_t>(code_.size() - here);
    }

    std::vector<sock_filter> code_;
};

// `own_user`: nobody else's processes can be touched anyhow, because none has this process's user. Otherwise `earlier`
// are those that were there before it and have higher numbers.
// `shared`: of the judge's files, all that may be mapped to share memory, and they stay open, lest others take their
// numbers. For a process whose memory the judge watches: what is shared can be filled and let go, and is then no part of
// any process's. Empty: no such rule.
inline bool filter_kernel(bool own_user, std::span<const Run> earlier, std::span<const int> shared) {
    const auto self = static_cast<uint32_t>(getpid());
    Filter filter;
    if (!shared.empty()) {
        filter.share_only(shared);
        filter.never(SYS_close, 0, shared);
    }
    filter.all({SYS_futex,          SYS_sched_yield,   SYS_madvise,       SYS_mmap,
                SYS_munmap,         SYS_mprotect,      SYS_mremap,        SYS_brk,           SYS_write,
                SYS_writev,         SYS_read,          SYS_readv,         SYS_pread64,       SYS_openat,
                SYS_close,          SYS_fstat,         SYS_newfstatat,    SYS_statx,         SYS_lseek,
                SYS_readlinkat,     SYS_faccessat,     SYS_getdents64,    SYS_getcwd,        SYS_exit,
                SYS_exit_group,     SYS_rt_sigaction,  SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_sigaltstack,
                SYS_set_robust_list, SYS_set_tid_address, SYS_rseq,       SYS_gettid,        SYS_getpid,
                SYS_getppid,        SYS_getuid,        SYS_geteuid,       SYS_getgid,        SYS_getegid,
                SYS_nanosleep,      SYS_gettimeofday,  SYS_restart_syscall, SYS_getrandom,   SYS_getcpu,
                SYS_uname,          SYS_membarrier,    SYS_ppoll},
               ALLOW);
#ifdef __x86_64__
    filter.all({SYS_open, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_time, SYS_poll, SYS_getrlimit,
                SYS_arch_prctl},  // arch_prctl asks for the tile registers
               ALLOW);
#endif
    // Clocks of the system, of this process and of its thread: others are named by numbers of processes.
    for (long call : {SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep})
        filter.only(call, 0, {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID,
                              CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME});
    filter.only(SYS_getrusage, 0, {RUSAGE_SELF, RUSAGE_THREAD});
    // The C library asks it of threads by their numbers, and goes on where there is no such call.
    filter.only(SYS_sched_getaffinity, 0, {0, self}, UNKNOWN);
    filter.only_with_flag(SYS_clone, 0, CLONE_THREAD);
    filter.all({SYS_clone3}, UNKNOWN);  // the C library then asks for clone
    filter.only(SYS_kill, 0, {self});
    filter.only(SYS_tgkill, 0, {self});
    filter.only(SYS_prctl, 0, {PR_SET_NAME, PR_GET_NAME, 0x53564d41});  // the last one names memory
    filter.only(SYS_fcntl, 1, {F_GETFD, F_SETFD, F_GETFL});
    filter.only(SYS_ioctl, 1, {0x5401});     // whether it is a terminal
    filter.only(SYS_prlimit64, 2, {0});      // reading limits
    if (own_user) {
        filter.all({SYS_sched_setaffinity}, ALLOW);
    } else {
        filter.only_later(SYS_sched_setaffinity, 0, self, earlier);
    }
    return filter.install(REFUSE);
}

inline bool filter_compiler() {
    Filter filter;
    filter.all({SYS_socket, SYS_socketpair, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_io_uring_setup,
                SYS_io_uring_enter, SYS_io_uring_register, SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_keyctl,
                SYS_add_key, SYS_request_key, SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_unshare, SYS_setns,
                SYS_open_tree, SYS_move_mount, SYS_fsopen, SYS_mount_setattr, SYS_init_module, SYS_finit_module,
                SYS_delete_module, SYS_kexec_load, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_sethostname,
                SYS_setdomainname, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_acct,
                SYS_quotactl, SYS_syslog, SYS_open_by_handle_at, SYS_pidfd_getfd, SYS_pidfd_send_signal, SYS_kcmp,
                SYS_process_madvise, SYS_shmget, SYS_semget, SYS_msgget, SYS_mq_open, SYS_setpriority, SYS_ioprio_set,
                SYS_sched_setscheduler, SYS_sched_setparam, SYS_sched_setattr, SYS_migrate_pages, SYS_move_pages,
                SYS_seccomp, SYS_vhangup, SYS_fanotify_init},
               REFUSE);
    return filter.install(ALLOW);
}

}  // namespace confine
