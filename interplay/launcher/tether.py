"""Run a command that cannot outlive the launcher: ``python -P -m interplay.launcher.tether PID CMD…``.

The kernel is asked to kill this process when its parent dies, even if by SIGKILL, and then the
command takes its place (the request survives exec). It is a program of its own rather than a
``preexec_fn``, because forking Python code out of a process with gRPC threads is not safe.
Elsewhere than on Linux there is no such request, and only an orderly end of the launcher ends the parts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Tie this process to its parent and become the command."""
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
            sys.exit(f"prctl failed: {os.strerror(ctypes.get_errno())}")
    if os.getppid() != parent:  # it died before the request was in place
        sys.exit("the launcher is gone")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
