"""A real TorchServe of a model store, started as `interplay up --runtime torchserve` starts it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from interplay.launcher.ports import free_port
from interplay.launcher.settings import child_environment
from interplay.launcher.torchserve.settings import KEY_FILE
from interplay.rpc.torchserve_client import TorchServeClient
from tests.conftest import REPOSITORY_ROOT, wait_until


class TorchServeProcess:
    """``python -m interplay.launcher.torchserve``, with one thread a model on the CPU.

    Args:
        folder: For archives, key file and logs.
        store: Model store.
        capabilities: Whose models.
    """

    def __init__(self, folder: Path, store: Path, *capabilities: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder, self.port = folder, free_port()
        self.log, self.key_file = folder / "torchserve.log", folder / KEY_FILE
        self.client = TorchServeClient(f"127.0.0.1:{self.port}", self.key_file)
        values = {
            "torchserve_dir": folder,
            "torchserve_port": self.port,
            "torchserve_capabilities": ",".join(capabilities),
            "model_store": store,
            "threads": 1,
            "device": "cpu",
        }
        environment = {f"INTERPLAY_{name.upper()}": str(value) for name, value in values.items()}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "interplay.launcher.torchserve"],
                cwd=REPOSITORY_ROOT,
                env=child_environment(environment),
                stdout=log,
                stderr=log,
            )

    @property
    def server_settings(self) -> dict[str, Any]:
        """What a model server must be told to use it."""
        return {
            "runtime": "torchserve",
            "torchserve__target": f"127.0.0.1:{self.port}",
            "torchserve__key_file": self.key_file,
        }

    def wait_until_healthy(self) -> None:
        """Wait for Healthy; fail with the log if the process ends first."""

        def healthy() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            return self.client.is_healthy(5)

        wait_until(healthy, timeout_s=300, what="TorchServe is healthy")

    def end(self) -> int:
        """End it with SIGTERM and return its exit status."""
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
