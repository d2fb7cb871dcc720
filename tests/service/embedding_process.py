"""A real embedding server process on a store with small weights."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from interplay.capabilities import get_capability
from interplay.launcher.ports import free_port
from interplay.launcher.settings import child_environment
from interplay.rpc.clients import SyncModelServerClient
from tests.conftest import REPOSITORY_ROOT, wait_until

CAPABILITY = get_capability("embedding")


class EmbeddingProcess:
    """``python -m services.embedding``.

    Args:
        folder: For the log, and for the indexes unless ``state_dir`` says otherwise.
        store: Model store.
        settings: Further settings by name.
    """

    def __init__(self, folder: Path, store: Path, **settings: Any) -> None:
        self.port = free_port()
        self.log = folder / f"server-{self.port}.log"
        self.client = SyncModelServerClient(CAPABILITY, f"127.0.0.1:{self.port}", default_timeout_s=60)
        values = {
            "port": self.port,
            "metrics_port": free_port(),
            "model_store": store,
            "state_dir": folder,
            "threads": 1,
            "device": "cpu",
            **settings,
        }
        environment = {f"INTERPLAY_{name.upper()}": str(value) for name, value in values.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", CAPABILITY.module],
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

        wait_until(serving, timeout_s=200, what="embedding serves")

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
