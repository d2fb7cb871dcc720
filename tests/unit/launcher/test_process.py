"""One process of a part: logs, exits, and an end that is certain."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interplay.launcher.process import LOGS_KEPT, PartProcess, describe_exit, last_lines, rotate_log
from tests.conftest import wait_until


def is_alive(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def python(program: str) -> tuple[str, ...]:
    """Command that runs a Python program."""
    return (sys.executable, "-c", program)


def test_logs_rotate_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "gateway.log"
    for start in range(LOGS_KEPT + 3):
        rotate_log(log)
        log.write_text(f"start {start}\n")
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == ["gateway.log", *(f"gateway.log.{number}" for number in range(1, LOGS_KEPT + 1))]
    assert (tmp_path / "gateway.log.1").read_text() == f"start {LOGS_KEPT + 1}\n"


def test_last_lines_of_a_log_and_of_none(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"".join(b"line %d\n" % number for number in range(100)) + b"broken \xff")
    assert last_lines(log, 2) == ["line 99", "broken \ufffd"]
    assert last_lines(tmp_path / "missing.log", 2) == []


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "ended with status 0"),
        (2, "ended with status 2"),
        (-9, "was killed by SIGKILL"),
        (-99, "was killed by signal 99"),
    ],
)
def test_exit_codes_in_words(code: int, words: str) -> None:
    assert describe_exit(code) == words


async def test_output_and_environment(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    program = "import os, sys; print(os.environ['INTERPLAY_X']); print('oops', file=sys.stderr); sys.exit(7)"
    process = await PartProcess.start(python(program), {"INTERPLAY_X": "set"}, log)
    assert await process.wait() == 7
    assert process.ended
    assert sorted(last_lines(log, 10)) == ["oops", "set"]


async def test_stop_lets_a_process_finish(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    program = (
        "import signal, sys\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('finished', flush=True), sys.exit(0)))\n"
        "print('up', flush=True); signal.pause()"
    )
    process = await PartProcess.start(python(program), {}, log)
    await asyncio.to_thread(wait_until, lambda: last_lines(log, 1) == ["up"])
    assert await process.stop(grace_s=20)
    assert last_lines(log, 1) == ["finished"]


async def test_stop_kills_a_stubborn_process_and_its_children(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    program = (
        "import signal, subprocess, sys\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True); signal.pause()\n"
        "while True: signal.pause()"
    )
    process = await PartProcess.start(python(program), {}, log)
    await asyncio.to_thread(wait_until, lambda: last_lines(log, 1))
    child = int(last_lines(log, 1)[0])
    assert is_alive(child)
    assert not await process.stop(grace_s=0.3)
    await asyncio.to_thread(wait_until, lambda: not is_alive(child), what="the child is gone")
    assert not is_alive(process.pid)


async def test_what_a_dead_process_left_in_its_group_is_swept(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)"
    )
    process = await PartProcess.start(python(program), {}, log)
    assert await process.wait() == 0
    child = int(last_lines(log, 1)[0])
    await asyncio.to_thread(wait_until, lambda: not is_alive(child), what="the child is gone")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent's life")
def test_a_part_dies_with_its_launcher_even_by_sigkill(tmp_path: Path) -> None:
    launcher_program = (
        "import asyncio, pathlib, sys\n"
        "from interplay.launcher.process import PartProcess\n"
        "async def main():\n"
        "    command = (sys.executable, '-c', 'import time; time.sleep(600)')\n"
        "    process = await PartProcess.start(command, {}, pathlib.Path(sys.argv[1]))\n"
        "    print(process.pid, flush=True)\n"
        "    await process.wait()\n"
        "asyncio.run(main())"
    )
    with subprocess.Popen(
        [*python(launcher_program), str(tmp_path / "part.log")], stdout=subprocess.PIPE
    ) as launcher:
        assert launcher.stdout is not None
        part = int(launcher.stdout.readline())
        wait_until(lambda: b"time.sleep" in Path(f"/proc/{part}/cmdline").read_bytes(), what="the part runs")
        os.kill(launcher.pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(part), what="the part is gone")


def test_a_part_does_not_start_without_its_launcher() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "interplay.launcher.tether", "1", "true"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "the launcher is gone" in done.stderr
