"""Memory that networks free stays with the process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from interplay.serving.memory import keep_freed_memory

# Threads as servers have them: a block is allocated and freed ten times, and page faults are counted.
_PROGRAM = """
import ctypes, resource, sys, threading
from interplay.serving.memory import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
c = ctypes.CDLL(None)
c.malloc.restype = ctypes.c_void_p
size = 64 * 2**20

def use():
    block = ctypes.c_void_p(c.malloc(ctypes.c_size_t(size)))
    ctypes.memset(block, 1, size)
    c.free(block)

def work():
    use()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        use()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)

thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def faults(how: str) -> int:
    answer = subprocess.run(
        [sys.executable, "-c", _PROGRAM, how], capture_output=True, text=True, timeout=120
    )
    assert answer.returncode == 0, answer.stderr
    return int(answer.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="an allocator of its own")
def test_freed_memory_is_used_again_without_page_faults() -> None:
    assert faults("keep") < 1000 < faults("default") / 10


def test_elsewhere_nothing_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_memory() is False
