"""The whole system as a user starts it, for benchmarks: ``interplay up`` in its own state directory."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from interplay.launcher.ports import free_port


@contextmanager
def running_system(*options: str) -> Iterator[tuple[str, int]]:
    """Start ``interplay up``; yields the gateway's URL and the launcher's process id.

    Args:
        options: Further ones of ``interplay up``.

    Raises:
        RuntimeError: It did not get ready; its output is in the message.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as state:
        process = subprocess.Popen(
            [sys.executable, "-m", "interplay.cli", "up", "--port", str(port), "--data-dir", state, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        said = []
        try:
            for line in process.stdout:
                said.append(line)
                if line.startswith("ready "):
                    break
            else:
                raise RuntimeError("interplay up did not get ready:\n" + "".join(said))
            yield f"http://127.0.0.1:{port}", process.pid
        finally:
            process.terminate()
            process.communicate(timeout=60)


def resident_mb(launcher_pid: int, module: str) -> float:
    """Resident memory in MB of the launcher's descendants whose command line names ``module``."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
    total_kb = 0
    for pid in parents:
        ancestor = pid
        while ancestor not in (0, 1, launcher_pid):
            ancestor = parents.get(ancestor, 0)
        try:
            if ancestor == launcher_pid and module in Path(f"/proc/{pid}/cmdline").read_text():
                status = Path(f"/proc/{pid}/status").read_text()
                total_kb += int(status.split("VmRSS:")[1].split()[0])
        except (OSError, IndexError, ValueError):
            continue
    return total_kb / 1024
