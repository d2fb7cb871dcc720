"""A real model server process on a store with small weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from interplay.capabilities import Capability
from interplay.launcher.ports import free_port
from interplay.launcher.settings import child_environment
from interplay.rpc.clients import SyncModelServerClient
from tests.conftest import REPOSITORY_ROOT, wait_until


class ServerProcess:
    """``python -m services.<capability>``, with one thread on the CPU.

    Args:
        capability: Whose server.
        folder: For the log.
        store: Model store.
        timeout_s: Of the client's calls.
        settings: Further settings by name.
    """

    def __init__(
        self, capability: Capability, folder: Path, store: Path, timeout_s: float, **settings: Any
    ) -> None:
        self.port = free_port()
        self.log = folder / f"server-{self.port}.log"
        self.client = SyncModelServerClient(capability, f"127.0.0.1:{self.port}", default_timeout_s=timeout_s)
        values = {
            "port": self.port,
            "metrics_port": free_port(),
            "model_store": store,
            "threads": 1,
            "device": "cpu",
            **settings,
        }
        environment = {f"INTERPLAY_{name.upper()}": str(value) for name, value in values.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", capability.module],
                cwd=REPOSITORY_ROOT,
                env=child_environment(environment),
                stdout=log,
                stderr=log,
            )

    def wait_until_serving(self) -> None:
        """Wait for SERVING; fail with the log if the process ends first."""

        def serving() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.client.is_serving()

        wait_until(serving, timeout_s=200, what="the server serves")

    def log_lines(self) -> list[dict[str, Any]]:
        """The log so far; fails when a line is not JSON."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def kill(self) -> None:
        """End it with SIGKILL, as the kernel would."""
        self.client.close()
        self.process.kill()
        self.process.wait(60)

    def end(self) -> int:
        """Close the client, end the process with SIGTERM and return its exit status."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
