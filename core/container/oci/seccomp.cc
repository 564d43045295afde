#include "core/container/oci/seccomp.h"

#include "core/base/strings.h"

namespace skerry::container::oci {
namespace {

constexpr const char* kAllowed[] = {
    "accept", "accept4", "access", "alarm", "arch_prctl", "bind", "brk", "cachestat", "capget", "capset", "chdir", "chmod", "chown",
    "clock_getres", "clock_gettime", "clock_nanosleep", "close", "close_range", "connect", "copy_file_range", "creat", "dup", "dup2",
    "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait", "eventfd", "eventfd2", "execve",
    "execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fallocate", "fanotify_mark", "fchdir", "fchmod",
    "fchmodat", "fchmodat2", "fchown", "fchownat", "fcntl", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork", "fremovexattr",
    "fsetxattr", "fstat", "fstatfs", "fsync", "ftruncate", "futex", "futex_requeue", "futex_wait", "futex_waitv", "futex_wake",
    "futimesat", "get_robust_list", "get_thread_area", "getcpu", "getcwd", "getdents", "getdents64", "getegid", "geteuid", "getgid",
    "getgroups", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority", "getrandom", "getresgid",
    "getresuid", "getrlimit", "getrusage", "getsid", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "getxattr",
    "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel", "io_destroy", "io_getevents",
    "io_pgetevents", "io_setup", "io_submit", "ioctl", "ioprio_get", "ioprio_set", "kill", "landlock_add_rule",
    "landlock_create_ruleset", "landlock_restrict_self", "lchown", "lgetxattr", "link", "linkat", "listen", "listmount", "listxattr",
    "llistxattr", "lremovexattr", "lseek", "lsetxattr", "lstat", "madvise", "map_shadow_stack", "membarrier", "memfd_create",
    "memfd_secret", "mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mprotect",
    "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedsend", "mq_unlink", "mremap", "msgctl", "msgget", "msgrcv",
    "msgsnd", "msync", "munlock", "munlockall", "munmap", "name_to_handle_at", "nanosleep", "newfstatat", "open", "openat", "openat2",
    "pause", "pidfd_open", "pidfd_send_signal", "pipe", "pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "prctl",
    "pread64", "preadv", "preadv2", "prlimit64", "process_mrelease", "pselect6", "pwrite64", "pwritev", "pwritev2", "read",
    "readahead", "readlink", "readlinkat", "readv", "recvfrom", "recvmmsg", "recvmsg", "remap_file_pages", "removexattr", "rename",
    "renameat", "renameat2", "restart_syscall", "rmdir", "rseq", "rt_sigaction", "rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo",
    "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "rt_tgsigqueueinfo", "sched_get_priority_max", "sched_get_priority_min",
    "sched_getaffinity", "sched_getattr", "sched_getparam", "sched_getscheduler", "sched_rr_get_interval", "sched_setaffinity",
    "sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "select", "semctl", "semget", "semop",
    "semtimedop", "sendfile", "sendmmsg", "sendmsg", "sendto", "set_robust_list", "set_thread_area", "set_tid_address", "setfsgid",
    "setfsuid", "setgid", "setgroups", "setitimer", "setpgid", "setpriority", "setregid", "setresgid", "setresuid", "setreuid",
    "setrlimit", "setsid", "setsockopt", "setuid", "setxattr", "shmat", "shmctl", "shmdt", "shmget", "shutdown", "sigaltstack",
    "signalfd", "signalfd4", "socket", "socketpair", "splice", "stat", "statfs", "statmount", "statx", "symlink", "symlinkat", "sync",
    "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time", "timer_create", "timer_delete", "timer_getoverrun",
    "timer_gettime", "timer_settime", "timerfd_create", "timerfd_gettime", "timerfd_settime", "times", "tkill", "truncate", "umask",
    "uname", "unlink", "unlinkat", "utime", "utimensat", "utimes", "vfork", "wait4", "waitid", "write", "writev",
};

// Allowed with the capability, EPERM without.
constexpr struct {
  const char* capability;
  const char* calls;
} kGuarded[] = {
    {"CAP_SYS_ADMIN", "mount umount2 pivot_root setns unshare fsopen fsconfig fsmount fspick open_tree move_mount mount_setattr bpf perf_event_open fanotify_init lookup_dcookie quotactl quotactl_fd sethostname setdomainname swapon swapoff"},
    {"CAP_SYS_PTRACE", "process_vm_readv process_vm_writev ptrace kcmp pidfd_getfd process_madvise"},
    {"CAP_SYS_MODULE", "init_module finit_module delete_module"},
    {"CAP_SYS_BOOT", "reboot kexec_load kexec_file_load"},
    {"CAP_SYS_TIME", "settimeofday clock_settime adjtimex clock_adjtime"},
    {"CAP_SYS_NICE", "mbind set_mempolicy get_mempolicy migrate_pages move_pages set_mempolicy_home_node"},
    {"CAP_SYS_RAWIO", "iopl ioperm"},
    {"CAP_SYS_PACCT", "acct"},
    {"CAP_SYS_TTY_CONFIG", "vhangup"},
    {"CAP_SYSLOG", "syslog"},
    {"CAP_SYS_CHROOT", "chroot"},
    {"CAP_DAC_READ_SEARCH", "open_by_handle_at"},
    {"CAP_BPF", "bpf"},
    {"CAP_PERFMON", "perf_event_open"},
};

// Kernel facilities with a history of escapes, or that know no namespaces.
constexpr const char* kDenied[] = {
    "add_key", "request_key", "keyctl", "_sysctl", "uselib", "ustat", "sysfs", "nfsservctl", "get_kernel_syms", "query_module",
    "create_module", "userfaultfd", "vmsplice", "io_uring_setup", "io_uring_enter", "io_uring_register", "afs_syscall", "getpmsg",
    "putpmsg", "security", "tuxcall", "vserver", "epoll_ctl_old", "epoll_wait_old", "modify_ldt",
};

constexpr std::int64_t kPermission = 1, kNoSystemCall = 38;
constexpr std::int64_t kNamespaceFlags = 0x7E020000;   // CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}

json::Value Rule(const char* action, json::Value names, std::int64_t error = 0) {
  json::Value rule = json::Value::Object();
  rule.Set("names") = std::move(names);
  rule.Set("action") = action;
  if (error != 0) rule.Set("errnoRet") = error;
  return rule;
}

json::Value Names(const char* one) {
  json::Value names = json::Value::Array();
  names.Append(one);
  return names;
}

json::Value Argument(int index, std::int64_t value, const char* op, std::int64_t second = 0) {
  json::Value argument = json::Value::Object();
  argument.Set("index") = index;
  argument.Set("value") = value;
  if (second != 0) argument.Set("valueTwo") = second;
  argument.Set("op") = op;
  json::Value list = json::Value::Array();
  list.Append(std::move(argument));
  return list;
}

// clone: no new namespaces. clone3 hides its flags behind a pointer: ENOSYS makes C libraries take clone.
void AddCloneRules(json::Value& rules, bool admin) {
  if (admin) {
    json::Value both = Names("clone");
    both.Append("clone3");
    rules.Append(Rule("SCMP_ACT_ALLOW", std::move(both)));
    return;
  }
  json::Value clone = Rule("SCMP_ACT_ALLOW", Names("clone"));
  clone.Set("args") = Argument(0, kNamespaceFlags, "SCMP_CMP_MASKED_EQ");
  rules.Append(std::move(clone));
  rules.Append(Rule("SCMP_ACT_ERRNO", Names("clone3"), kNoSystemCall));
}

// Only the execution domains that emulators and debuggers of ordinary programs ask for.
void AddPersonalityRules(json::Value& rules) {
  for (const std::int64_t value : {0x0L, 0x0008L, 0x20000L, 0x20008L, 0xffffffffL}) {
    json::Value rule = Rule("SCMP_ACT_ALLOW", Names("personality"));
    rule.Set("args") = Argument(0, value, "SCMP_CMP_EQ");
    rules.Append(std::move(rule));
  }
}

}  // namespace

json::Value DefaultSeccompProfile(const std::set<std::string>& capabilities) {
  json::Value profile = json::Value::Object();
  profile.Set("defaultAction") = "SCMP_ACT_ERRNO";
  profile.Set("defaultErrnoRet") = kNoSystemCall;
  for (const char* arch : {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"}) profile.Set("architectures").Append(arch);
  json::Value& rules = profile.Set("syscalls");
  json::Value allowed = json::Value::Array(), denied = json::Value::Array();
  for (const char* name : kAllowed) allowed.Append(name);
  std::set<std::string_view> granted;
  for (const auto& guarded : kGuarded) {
    if (!capabilities.contains(guarded.capability)) continue;
    for (const std::string_view name : Split(guarded.calls, ' ')) granted.insert(name);
  }
  for (const std::string_view name : granted) allowed.Append(name);
  std::set<std::string_view> refused(std::begin(kDenied), std::end(kDenied));
  for (const auto& guarded : kGuarded) {
    for (const std::string_view name : Split(guarded.calls, ' ')) {
      if (!granted.contains(name)) refused.insert(name);
    }
  }
  for (const std::string_view name : refused) denied.Append(name);
  rules.Append(Rule("SCMP_ACT_ALLOW", std::move(allowed)));
  rules.Append(Rule("SCMP_ACT_ERRNO", std::move(denied), kPermission));
  AddCloneRules(rules, capabilities.contains("CAP_SYS_ADMIN"));
  AddPersonalityRules(rules);
  return profile;
}

}  // namespace skerry::container::oci
