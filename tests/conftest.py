"""Fixtures that all tests share: free ports, a real Valkey, a state directory, the data sets."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog

from interplay.launcher import valkey as embedded_valkey
from interplay.launcher.ports import free_port as find_free_port
from interplay.telemetry.context import set_request_id

REPOSITORY_ROOT = Path(__file__).resolve().parent.parent


def wait_until(condition: Callable[[], object], *, timeout_s: float = 20.0, what: str = "condition") -> None:
    """Poll until ``condition()`` is true; fail the test when it is not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: not within {timeout_s:g} s")
        time.sleep(0.05)


class ValkeyProcess:
    """A real Valkey server in its own directory, with a fixed port over restarts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = find_free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        config = embedded_valkey.write_config(self.directory, port=self.port, password=None)
        with (self.directory / "valkey.log").open("ab") as log:
            self._process = subprocess.Popen(embedded_valkey.command(config), stdout=log, stderr=log)
        wait_until(lambda: asyncio.run(embedded_valkey.answers_ping(self.port, None)), what="Valkey answers")

    def stop(self, *, kill: bool = False) -> None:
        """End the server: with SIGTERM, or with SIGKILL."""
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        self._process.wait(timeout=20)
        self._process = None

    def restart(self, *, kill: bool = False) -> None:
        """Stop it and start it again with what its file holds."""
        self.stop(kill=kill)
        self.start()


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's own Interplay configuration reaches a test."""
    set_request_id("")
    for name in list(os.environ):
        if name.startswith("INTERPLAY_") and name != "INTERPLAY_DATA_DIR":
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def quiet_logs() -> None:
    """Log events go through standard logging, where pytest keeps them for failing tests."""
    structlog.configure(
        processors=[structlog.stdlib.add_log_level, structlog.stdlib.render_to_log_kwargs],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


@pytest.fixture
def free_port() -> int:
    """A free TCP port on the loopback."""
    return find_free_port()


@pytest.fixture
def free_port_factory() -> Callable[[], int]:
    """Function that returns another free TCP port at each call."""
    return find_free_port


@pytest.fixture(scope="session")
def shared_valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyProcess]:
    """One real Valkey for the whole run; most tests want ``redis_url``."""
    server = ValkeyProcess(tmp_path_factory.mktemp("valkey"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis_url(shared_valkey: ValkeyProcess) -> str:
    """URL of a real, empty Valkey."""
    import redis

    with redis.Redis.from_url(shared_valkey.url) as client:
        client.flushall()
    return shared_valkey.url


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[ValkeyProcess]:
    """A real Valkey of the test's own, to stop and restart."""
    server = ValkeyProcess(tmp_path / "valkey")
    server.start()
    yield server
    server.stop()


@pytest.fixture
def state_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty state directory, which INTERPLAY_STATE_DIR names."""
    directory = tmp_path / "state"
    directory.mkdir()
    monkeypatch.setenv("INTERPLAY_STATE_DIR", str(directory))
    return directory


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of data sets beside the checkout, or INTERPLAY_DATA_DIR; without it the test is skipped."""
    directory = Path(os.environ.get("INTERPLAY_DATA_DIR", REPOSITORY_ROOT.parent / "shared" / "data"))
    if not directory.is_dir():
        pytest.skip(f"no data sets in {directory}; INTERPLAY_DATA_DIR names another folder")
    return directory
