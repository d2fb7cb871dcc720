"""One launcher a state directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from interplay.errors import Conflict
from interplay.launcher.lock import Holder, find_holder, hold_lock


def test_a_second_launcher_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    with hold_lock(tmp_path, "http://127.0.0.1:8080"):
        assert find_holder(tmp_path) == Holder(os.getpid(), "http://127.0.0.1:8080")
        with (
            pytest.raises(Conflict, match=rf"process {os.getpid()} at http://127.0.0.1:8080.*--data-dir"),
            hold_lock(tmp_path, "http://127.0.0.1:9000"),
        ):
            pass
        assert find_holder(tmp_path) == Holder(os.getpid(), "http://127.0.0.1:8080")
    assert find_holder(tmp_path) is None


def test_no_holder_without_a_state_directory(tmp_path: Path) -> None:
    assert find_holder(tmp_path / "missing") is None


def test_a_killed_launcher_leaves_no_lock(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib; from interplay.launcher.lock import hold_lock\n"
        "with hold_lock(pathlib.Path(sys.argv[1]), 'http://x'):\n"
        "    print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        assert find_holder(tmp_path) == Holder(process.pid, "http://x")
        process.send_signal(signal.SIGKILL)
    assert find_holder(tmp_path) is None
    with hold_lock(tmp_path, "http://y"):
        pass
