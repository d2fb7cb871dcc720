"""One launcher a state directory: a file that the running launcher holds locked.

The lock is the kernel's (flock), so it goes with its process, however that ends; the file's text
only says who holds it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from interplay.errors import Conflict

LOCK_FILE = "launcher.lock"


@dataclass(frozen=True)
class Holder:
    """The launcher that runs on a state directory."""

    pid: int
    url: str


@contextmanager
def hold_lock(state_dir: Path, url: str) -> Iterator[None]:
    """Hold the state directory.

    Raises:
        Conflict: Another launcher holds it; the message says which and how to go on.
    """
    state_dir.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(state_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            other = _read(descriptor)
            who = f"process {other.pid} at {other.url}" if other else "another process"
            raise Conflict(
                f"Interplay already runs on {state_dir} ({who}): stop it with `interplay down`, "
                "or use another state directory with --data-dir"
            ) from error
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(asdict(Holder(os.getpid(), url))).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)  # releases the lock


def find_holder(state_dir: Path) -> Holder | None:
    """The launcher that runs on the state directory now, if one does."""
    try:
        descriptor = os.open(state_dir / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _read(descriptor)
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Holder | None:
    try:
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):
        return None
