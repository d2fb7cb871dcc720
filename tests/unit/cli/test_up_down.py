"""`interplay up`, `down` and `doctor`, as far as they go without starting anything."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from interplay.launcher.lock import hold_lock


def test_a_busy_port_is_named_with_the_way_out(interplay: Callable[..., Any], tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ran = interplay("up", "--port", port, "--data-dir", tmp_path)
    assert ran.code == 1 and f"port {port}" in ran.err and "--port" in ran.err


def test_two_launchers_do_not_share_a_state_directory(
    interplay: Callable[..., Any], tmp_path: Path, free_port: int
) -> None:
    with hold_lock(tmp_path, "http://127.0.0.1:1"):
        ran = interplay("up", "--port", free_port, "--data-dir", tmp_path)
    assert ran.code == 1 and f"process {os.getpid()}" in ran.err and "--data-dir" in ran.err


def test_an_unknown_capability_is_named(interplay: Callable[..., Any], tmp_path: Path) -> None:
    ran = interplay("up", "--only", "speech", "--data-dir", tmp_path)
    assert ran.code == 1 and "speech" in ran.err and "text_detection" in ran.err


def test_down_without_anything_running(interplay: Callable[..., Any], tmp_path: Path) -> None:
    ran = interplay("down", "--data-dir", tmp_path)
    assert ran.code == 0 and "nothing runs" in ran.out


def test_down_ends_the_holder_of_the_state_directory(interplay: Callable[..., Any], tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, time; from interplay.launcher.lock import hold_lock\n"
        "with hold_lock(pathlib.Path(sys.argv[1]), 'http://here'):\n"
        "    print('held', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        ran = interplay("down", "--data-dir", tmp_path)
    assert ran.code == 0 and "stopped http://here" in ran.out
    assert holder.returncode == -signal.SIGTERM


def test_doctor_says_what_is_wrong_and_how_to_mend_it(
    interplay: Callable[..., Any], tmp_path: Path, free_port: int
) -> None:
    arguments = ("--data-dir", tmp_path / "state", "--store", tmp_path, "--port", free_port)
    ran = interplay("doctor", *arguments, "--root", tmp_path / "missing")
    assert ran.code == 1
    assert "FAIL models" in ran.out and "FAIL dataset root" in ran.out and "→" in ran.out
    assert "ok   python" in ran.out and "ok   port" in ran.out and "ok   valkey" in ran.out
