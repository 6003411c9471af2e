/**
 * The system calls a container may make, by subject: what ordinary programs need and what the kernel itself confines
 * to the caller's namespaces. Left out, hence refused with EPERM: everything that changes the machine (modules, clock,
 * reboot, swap, kexec), the kernel keyring, io_uring, userfaultfd, and obsolete calls. Names a kernel or libseccomp does
 * not know are skipped by the runtime.
 */
const words = (text: string): readonly string[] => text.trim().split(/\s+/);

export const ALLOWED_SYSCALLS: readonly string[] = [
  // Files: open, read, write, seek, map to other descriptors.
  words(`
    access faccessat faccessat2 open openat openat2 creat close close_range dup dup2 dup3 read readv pread64 preadv
    preadv2 write writev pwrite64 pwritev pwritev2 lseek _llseek fcntl fcntl64 flock ioctl fadvise64 fadvise64_64
    fallocate ftruncate ftruncate64 truncate truncate64 readahead copy_file_range sendfile sendfile64 splice tee
    vmsplice sync syncfs fsync fdatasync sync_file_range name_to_handle_at cachestat`),
  // Names and metadata.
  words(`
    stat stat64 lstat lstat64 fstat fstat64 newfstatat fstatat64 statx statfs statfs64 fstatfs fstatfs64 statmount
    listmount getdents getdents64 getcwd chdir fchdir mkdir mkdirat rmdir link linkat symlink symlinkat readlink
    readlinkat rename renameat renameat2 unlink unlinkat mknod mknodat chmod fchmod fchmodat fchmodat2 chown chown32
    fchown fchown32 lchown lchown32 fchownat umask utime utimes futimesat utimensat utimensat_time64`),
  words(`
    getxattr lgetxattr fgetxattr getxattrat setxattr lsetxattr fsetxattr setxattrat listxattr llistxattr flistxattr
    listxattrat removexattr lremovexattr fremovexattr removexattrat inotify_init inotify_init1 inotify_add_watch
    inotify_rm_watch fanotify_mark`),
  // Waiting for descriptors, events and pipes.
  words(`
    poll ppoll ppoll_time64 select _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl
    epoll_ctl_old epoll_wait epoll_wait_old epoll_pwait epoll_pwait2 eventfd eventfd2 signalfd signalfd4 pipe pipe2
    io_setup io_destroy io_submit io_cancel io_getevents io_pgetevents io_pgetevents_time64`),
  // Memory.
  words(`
    brk mmap mmap2 munmap mremap mprotect madvise mincore msync mlock mlock2 mlockall munlock munlockall membarrier
    memfd_create memfd_secret remap_file_pages pkey_alloc pkey_free pkey_mprotect map_shadow_stack mseal
    process_mrelease`),
  // Processes, threads and their limits. Making them (clone) has rules of its own.
  words(`
    execve execveat exit exit_group fork vfork wait4 waitid waitpid kill tkill tgkill pidfd_open pidfd_send_signal
    getpid getppid gettid getpgid getpgrp setpgid getsid setsid getpriority setpriority getrlimit ugetrlimit setrlimit
    prlimit64 getrusage times prctl capget capset seccomp set_tid_address set_robust_list get_robust_list rseq
    get_thread_area set_thread_area restart_syscall uname sysinfo getcpu ioprio_get ioprio_set uretprobe
    process_vm_readv process_vm_writev ptrace`),
  words(`
    getuid getuid32 geteuid geteuid32 getgid getgid32 getegid getegid32 getresuid getresuid32 getresgid getresgid32
    getgroups getgroups32 setuid setuid32 setgid setgid32 setreuid setreuid32 setregid setregid32 setresuid
    setresuid32 setresgid setresgid32 setfsuid setfsuid32 setfsgid setfsgid32 setgroups setgroups32`),
  words(`
    sched_yield sched_getaffinity sched_setaffinity sched_getattr sched_setattr sched_getparam sched_setparam
    sched_getscheduler sched_setscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval
    sched_rr_get_interval_time64`),
  // Signals.
  words(`
    rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
    rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack sigprocmask sigreturn pause`),
  // Time and timers. adjtimex and clock_adjtime only read without SYS_TIME.
  words(`
    time gettimeofday clock_gettime clock_gettime64 clock_getres clock_getres_time64 clock_nanosleep
    clock_nanosleep_time64 nanosleep alarm getitimer setitimer timer_create timer_delete timer_getoverrun
    timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create timerfd_gettime timerfd_gettime64
    timerfd_settime timerfd_settime64 adjtimex clock_adjtime clock_adjtime64`),
  // Locks between threads, System V and POSIX message passing.
  words(`
    futex futex_time64 futex_wait futex_waitv futex_wake futex_requeue ipc semget semop semctl semtimedop
    semtimedop_time64 shmget shmat shmdt shmctl msgget msgsnd msgrcv msgctl mq_open mq_unlink mq_notify mq_getsetattr
    mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64`),
  // Sockets. Making one (socket) has rules of its own.
  words(`
    accept accept4 bind connect listen shutdown socketpair socketcall getpeername getsockname getsockopt setsockopt
    recv recvfrom recvmsg recvmmsg recvmmsg_time64 send sendto sendmsg sendmmsg`),
  // Randomness, and giving up rights.
  words(`getrandom landlock_create_ruleset landlock_add_rule landlock_restrict_self`),
].flat();

/** What one kind of processor needs besides, by Node's name for it. */
export const ARCHITECTURE_SYSCALLS: Readonly<Record<string, readonly string[]>> = {
  x64: words('arch_prctl modify_ldt'),
  arm64: words('arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls'),
  s390x: words('s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr'),
  ppc64: words('sync_file_range2 swapcontext'),
  riscv64: words('riscv_flush_icache riscv_hwprobe'),
};

/** What a capability that was added opens. */
export const CAPABILITY_SYSCALLS: Readonly<Record<string, readonly string[]>> = {
  CAP_DAC_READ_SEARCH: words('open_by_handle_at'),
  CAP_SYS_ADMIN: words(`
    bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules
    lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd setdomainname
    sethostname setns syslog umount umount2 unshare`),
  CAP_SYS_BOOT: words('reboot'),
  CAP_SYS_CHROOT: words('chroot'),
  CAP_SYS_MODULE: words('delete_module init_module finit_module'),
  CAP_SYS_PACCT: words('acct'),
  CAP_SYS_PTRACE: words('kcmp pidfd_getfd process_madvise'),
  CAP_SYS_RAWIO: words('iopl ioperm'),
  CAP_SYS_TIME: words('settimeofday stime clock_settime clock_settime64'),
  CAP_SYS_TTY_CONFIG: words('vhangup'),
  CAP_SYS_NICE: words('get_mempolicy mbind set_mempolicy set_mempolicy_home_node'),
  CAP_SYSLOG: words('syslog'),
  CAP_BPF: words('bpf'),
  CAP_PERFMON: words('perf_event_open'),
};
