"""End a process together with its parent, also where the parent gets SIGKILL."""

import ctypes
import sys

LIBC = ctypes.CDLL(None)  # loaded here, because a process that was just forked must not
PR_SET_PDEATHSIG = 1  # of prctl(2)


def end_with_parent(number: int) -> None:
    """Ask the kernel to send this process the signal `number` when its parent ends.

    Does nothing where the system is not Linux.
    """
    if sys.platform == "linux":
        LIBC.prctl(PR_SET_PDEATHSIG, number)
