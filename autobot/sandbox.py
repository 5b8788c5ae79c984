"""A process that is about to read a stranger's bytes gives up what it will not need.

`confine` is called by such a process itself, after its imports: from then on it computes on what
it holds and talks over what is open. It opens no file and no socket, starts no process and signals
nobody. `cut_off` is for one that must go on to open files or to start programs: it has no network
but what is open.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from dataclasses import dataclass

NOBODY = 65534
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
COLUMN = {"x86_64": 0, "aarch64": 1}
SYSCALLS: dict[str, tuple[int, int]] = {  # numbers on x86-64 and on 64-bit ARM
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "fstat": (5, 80), "lseek": (8, 62),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214),
    "rt_sigreturn": (15, 139), "readv": (19, 65), "writev": (20, 66),
    "sched_yield": (24, 124), "mremap": (25, 216), "madvise": (28, 233), "getpid": (39, 172),
    "sendto": (44, 206), "recvfrom": (45, 207), "exit": (60, 93), "gettimeofday": (96, 169),
    "gettid": (186, 178), "futex": (202, 98), "sched_getaffinity": (204, 123),
    "restart_syscall": (219, 128), "clock_gettime": (228, 113), "exit_group": (231, 94),
    "getrandom": (318, 278), "rseq": (334, 293),
}  # fmt: skip
"""Memory, what is open already, the clock and the end. Everything else fails with EPERM, changes of
signals and timers among it: the deadline holds against code that was taken over."""
NETWORK: dict[str, tuple[int, int]] = {
    "socket": (41, 198), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "io_uring_setup": (425, 425),
    "kill": (62, 129), "tkill": (200, 130), "pidfd_send_signal": (424, 424),
    "pidfd_getfd": (438, 438), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "setns": (308, 268), "unshare": (272, 97),
    "mount": (165, 40), "bpf": (321, 280), "keyctl": (250, 219), "open_by_handle_at": (304, 265),
}  # fmt: skip
"""New connections, other processes, and ways around both."""
PROGRAMS: dict[str, tuple[int, int]] = {"execve": (59, 221), "execveat": (322, 281)}
X32 = 0x40000000
"""On x86-64, numbers from here on are other names for the same calls."""
BPF_LOAD, BPF_JUMP_EQUAL, BPF_JUMP_FROM, BPF_RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050001  # the last: errno 1, EPERM
NUMBER_AT, ARCHITECTURE_AT = 0, 4


@dataclass(frozen=True, slots=True)
class Limits:
    """``memory``: bytes on top of what the process has already."""

    memory: int
    cpu_s: int
    wall_s: int


def confine(limits: Limits) -> None:
    """Bound this process and take its rights away, for good. It must have one thread only.

    The kernel ends it with SIGXCPU after ``cpu_s`` and with SIGALRM after ``wall_s``; what passes
    ``memory`` fails to be allocated.
    """
    _bound(limits)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    if offered():
        _filter_syscalls(SYSCALLS, ALLOW, REFUSE)


def cut_off(limits: Limits, *, programs: bool = False) -> None:
    """Bound this process as `confine` does, and every one that it starts, and end its networking.

    It still reads files, as a user to whom nothing of ours belongs where it was root. Only with
    ``programs`` may it start others. It must have one thread only.
    """
    _bound(limits)
    if offered():
        _filter_syscalls(NETWORK if programs else NETWORK | PROGRAMS, REFUSE, ALLOW)


def _bound(limits: Limits) -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limits.wall_s)
    most = _address_space() + limits.memory
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    # The soft limit is a signal of its own; at the hard one it would be the SIGKILL of anybody.
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_s, limits.cpu_s + 1))
    for none in (resource.RLIMIT_CORE, resource.RLIMIT_FSIZE):
        resource.setrlimit(none, (0, 0))


def offered() -> bool:
    """Whether system calls can be filtered here: not on processors whose numbers are not known."""
    return platform.machine() in AUDIT_ARCH


def _address_space() -> int:
    with open("/proc/self/statm") as file:  # noqa: PTH123  a child of a fork keeps to the basics
        return int(file.read().split()[0]) * resource.getpagesize()


def _filter_syscalls(calls: dict[str, tuple[int, int]], listed: int, others: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    program = _program(platform.machine(), calls, listed, others)
    code = ctypes.create_string_buffer(program)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    filtering = Program(len(program) // 8, ctypes.addressof(code))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(filtering), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")


def _program(machine: str, calls: dict[str, tuple[int, int]], listed: int, others: int) -> bytes:
    """The filter in the kernel's classic BPF: the architecture, then one comparison a call.

    What is in ``calls`` ends ``listed``, the rest as ``others``; numbers of another table of calls
    are refused.
    """
    numbers = [both[COLUMN[machine]] for both in calls.values()]
    step = struct.Struct("=HBBI").pack
    steps = [
        step(BPF_LOAD, 0, 0, ARCHITECTURE_AT),
        step(BPF_JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        step(BPF_RETURN, 0, 0, KILL),
        step(BPF_LOAD, 0, 0, NUMBER_AT),
        step(BPF_JUMP_FROM, 0, 1, X32),
        step(BPF_RETURN, 0, 0, REFUSE),
    ]
    for index, number in enumerate(numbers):
        to_listed = len(numbers) - index  # over the comparisons that follow and the other verdict
        steps.append(step(BPF_JUMP_EQUAL, to_listed, 0, number))
    steps += [step(BPF_RETURN, 0, 0, others), step(BPF_RETURN, 0, 0, listed)]
    return b"".join(steps)
