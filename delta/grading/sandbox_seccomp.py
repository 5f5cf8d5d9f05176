"""Build a seccomp filter for bubblewrap: the system calls that a sandboxed program may not make.

Namespaces and resource limits leave gaps: a new user namespace allows mounts without a size limit,
no limit counts some kinds of memory, some sockets are outside the network namespace, and the user's
keys outlive a namespace.
"""

import errno
import platform
import struct

# System call -> its number on x86-64 and on 64-bit ARM (the kernel's unistd tables; None: the
# machine does not have it).
DENIED: dict[str, tuple[int, int | None]] = {
    "unshare": (272, 97),
    "setns": (308, 268),
    # Memory that no limit counts.
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "semget": (64, 190),
    "msgget": (68, 186),
    "mq_open": (240, 180),
    "io_setup": (206, 0),
    "timer_create": (222, 107),
    "inotify_init": (253, None),
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    # Other processes of the same user.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    # The user's keys, and large parts of the kernel that no benchmark program needs.
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "perf_event_open": (298, 241),
    # All families: some belong to the machine (AF_VSOCK), and no limit counts connections that wait
    # at a listener. Connected Unix pairs, which asyncio needs, are allowed below.
    "socket": (41, 198),
}
SOCKETPAIR, AF_UNIX = (53, 199), 1
# Locks on parts of a file, of which the kernel keeps any number (F_SETLK, F_SETLKW, and those of
# open files). flock is allowed: a file has only one.
FCNTL, LOCKS = (72, 25), (6, 7, 37, 38)
# Calls newer than Linux 5.0 have the same number on every machine. Only these are allowed, so calls
# of later kernels are denied too. Programs and the C library work without them.
NEWER = 424
ALLOWED_NEWER = {
    "pidfd_send_signal": 424,
    "pidfd_open": 434,
    "close_range": 436,
    "openat2": 437,
    "faccessat2": 439,
    "epoll_pwait2": 441,
    "fchmodat2": 452,
}
CLONE = (56, 220)
NEW_USER_NAMESPACE = 0x10000000  # CLONE_NEWUSER
X32 = 0x40000000  # x86-64 has every call a second time above this number
# Machine → (its column above, its AUDIT_ARCH number).
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}

# Instructions of the kernel's packet filter (BPF), and its return values.
LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Offsets in struct seccomp_data.
NUMBER, ARCHITECTURE, FIRST_ARGUMENT, SECOND_ARGUMENT = 0, 4, 16, 24
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050000


def filter_program() -> bytes:
    """Return the filter for this machine, which must be one of MACHINES."""
    column, architecture = MACHINES[platform.machine()]
    steps = [_step(LOAD, ARCHITECTURE), *_return_unless(EQUAL, architecture, KILL)]
    steps += [_step(LOAD, NUMBER), *_return_if(AT_LEAST, X32, FAIL | errno.EPERM)]
    for newer in ALLOWED_NEWER.values():
        steps += _return_if(EQUAL, newer, ALLOW)
    # Also clone3: its flags are in memory, which a filter cannot read. The C library falls back.
    steps += _return_if(AT_LEAST, NEWER, FAIL | errno.ENOSYS)
    for numbers in DENIED.values():
        if (number := numbers[column]) is not None:
            steps += _return_if(EQUAL, number, FAIL | errno.EPERM)
    pair = _return_unless(EQUAL, AF_UNIX, FAIL | errno.EPERM)
    steps += _by_argument(SOCKETPAIR[column], FIRST_ARGUMENT, pair)
    locks = [step for command in LOCKS for step in _return_if(EQUAL, command, FAIL | errno.ENOLCK)]
    steps += _by_argument(FCNTL[column], SECOND_ARGUMENT, locks)
    user = _return_if(ANY_BIT, NEW_USER_NAMESPACE, FAIL | errno.EPERM)
    steps += _by_argument(CLONE[column], FIRST_ARGUMENT, user)
    return b"".join([*steps, _step(RETURN, ALLOW)])


def _by_argument(number: int, argument: int, tests: list[bytes]) -> list[bytes]:
    """Return the steps that allow the call `number` unless `tests` of its argument refuse it."""
    steps = [_step(LOAD, argument), *tests, _step(RETURN, ALLOW)]
    return [_step(EQUAL, number, if_false=len(steps)), *steps]


def _return_if(test: int, value: int, answer: int) -> list[bytes]:
    return [_step(test, value, if_true=0, if_false=1), _step(RETURN, answer)]


def _return_unless(test: int, value: int, answer: int) -> list[bytes]:
    return [_step(test, value, if_true=1, if_false=0), _step(RETURN, answer)]


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
