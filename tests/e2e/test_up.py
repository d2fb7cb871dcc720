"""`interplay up` as a user has it: one command, one request, crashes that mend, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from interplay.capabilities import CAPABILITIES
from interplay.launcher.ports import free_port
from tests.conftest import wait_until
from tests.e2e.system import System, street_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def process_table() -> dict[int, int]:
    """Parent of every process that has not ended."""
    parents = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except OSError:
            continue
        if state != "Z":
            parents[int(folder.name)] = int(parent)
    return parents


def descendants(ancestor: int) -> set[int]:
    """Processes below a process."""
    parents = process_table()
    found = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {ancestor}


@pytest.fixture
def started(tmp_path: Path) -> Iterator[System]:
    """A system of the test's own, ready."""
    system = System(tmp_path / "state", free_port(), "--root", str(tmp_path), "--verbose")
    try:
        system.wait_ready()
        yield system
    finally:
        system.stop()


def run_cli(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run ``interplay`` with arguments."""
    command = [sys.executable, "-m", "interplay.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_from_ready_to_the_end(started: System, tmp_path: Path) -> None:
    output = started.output.read_text()
    assert output.count(f"ready {started.url}\n") == 1
    for name in ("valkey", *(c.name for c in CAPABILITIES), "worker", "gateway"):
        assert re.search(rf" {name} +up ", output), name
        assert (started.state / "logs" / f"{name}.log").exists()

    # a real request, over HTTP and by the command line
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(street_photo())
    answer = httpx.post(
        f"{started.url}/v1/text:read", files={"image": ("photo.jpg", photo.read_bytes())}, timeout=60
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["width"], answer.json()["height"]) == (640, 360)
    told = run_cli("text", "read", photo, "--json", "--url", started.url)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["words"] == answer.json()["words"]

    # a second launcher is refused, and says by whom
    second = run_cli("up", "--data-dir", started.state, "--port", free_port())
    assert second.returncode == 1 and str(started.process.pid) in second.stderr

    # a model server that dies is started again, where the gateway expects it
    server = started.part_pid(CAPABILITIES[0].module)
    os.kill(server, signal.SIGKILL)
    wait_until(lambda: not started.is_ready(), timeout_s=30, what="the gateway notices")
    wait_until(started.is_ready, timeout_s=120, what="recovery")
    assert started.part_pid(CAPABILITIES[0].module) != server
    assert "was killed by SIGKILL; starting it again" in started.output.read_text()
    assert started.output.read_text().count("ready http") == 1

    # Ctrl-C
    parts = descendants(started.process.pid)
    assert len(parts) >= len(CAPABILITIES) + 3
    started.process.send_signal(signal.SIGINT)
    assert started.process.wait(timeout=90) == 0
    assert parts & set(process_table()) == set()
    stopped = re.findall(r" (\w+) +stopped", started.output.read_text())
    # a stop goes layer by layer; the servers of one layer stop at once
    assert stopped[:2] == ["gateway", "worker"] and stopped[-1] == "valkey"
    assert sorted(stopped[2:-1]) == sorted(c.name for c in CAPABILITIES)
    assert "had to be killed" not in started.output.read_text()


def test_a_killed_launcher_leaves_nothing_and_can_be_started_again(started: System, tmp_path: Path) -> None:
    parts = descendants(started.process.pid)
    started.process.kill()
    started.process.wait()
    wait_until(lambda: not parts & set(process_table()), timeout_s=30, what="the parts are gone")
    again = System(started.state, free_port(), "--root", str(tmp_path))
    try:
        again.wait_ready()
        told = run_cli("down", "--data-dir", started.state)
        assert told.returncode == 0 and f"stopped {again.url}" in told.stdout
        assert again.process.wait(timeout=10) == 0
    finally:
        again.stop()


def test_a_torchserve_runs_the_models(tmp_path: Path) -> None:
    system = System(tmp_path / "state", free_port(), "--runtime", "torchserve", "--only", "embedding")
    try:
        system.wait_ready(280)
        models = httpx.get(f"{system.url}/v1/models", timeout=30).json()["capabilities"]
        (served,) = (capability["models"] for capability in models if capability["name"] == "embedding")
        assert {model["runtime"] for model in served} == {"torchserve"}
        body = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["red sky"]}]}
        answer = httpx.post(f"{system.url}/v2/models/embedding-words/infer", json=body, timeout=60)
        assert answer.status_code == 200, answer.text
        same = httpx.post(f"{system.url}/v1/embeddings", json={"input": "red sky"}, timeout=60).json()
        assert answer.json()["outputs"][0]["data"] == pytest.approx(same["data"][0]["embedding"], abs=1e-6)

        parts = descendants(system.process.pid)
        assert system.stop() == 0
        assert parts & set(process_table()) == set()
        stopped = re.findall(r" (\w+) +stopped", system.output.read_text())
        assert stopped == ["gateway", "worker", "embedding", "torchserve", "valkey"]
        assert "had to be killed" not in system.output.read_text()
    finally:
        system.stop()


def test_a_killed_launcher_leaves_no_torchserve(tmp_path: Path) -> None:
    system = System(tmp_path / "state", free_port(), "--runtime", "torchserve", "--only", "embedding")
    try:
        system.wait_ready(280)
        parts = descendants(system.process.pid)
        system.process.kill()
        system.process.wait()
        wait_until(lambda: not parts & set(process_table()), timeout_s=30, what="the parts are gone")
    finally:
        system.stop()
