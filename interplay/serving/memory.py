"""How the process's allocator treats memory that networks free."""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_KEPT_BYTES = 2**31 - 1
_GROWTH_BYTES = 256 * 2**20


def keep_freed_memory() -> bool:
    """Have the C library keep freed memory for the next layer, and not give it back each time.

    A layer's output for a photo is some hundred megabytes. By default each is mapped anew and
    every page of it faults on first use (``benchmarks.styling --plain-memory`` shows what that
    costs). The process stays as large as its largest photo made it.

    Call it before threads are started: those that run already keep their own pools.

    Returns:
        False where the C library is not glibc; nothing is changed then.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
        ctypes.CDLL(None).gnu_get_libc_version  # noqa: B018 - others have a mallopt that does nothing
    except (OSError, AttributeError):
        return False
    options = (
        (_ARENA_MAX, 1),
        (_MMAP_MAX, 0),
        (_TRIM_THRESHOLD, _KEPT_BYTES),
        (_TOP_PAD, _GROWTH_BYTES),
    )
    taken = [mallopt(number, value) == 1 for number, value in options]
    return all(taken)
