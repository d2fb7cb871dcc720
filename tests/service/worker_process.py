"""A real worker process for tests, to be killed and started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY_ROOT


class WorkerProcess:
    """``python -m services.worker`` with short intervals.

    Args:
        folder: Holds the state, the data set root ``data`` and the log.
        redis_url: Broker.
        text_detection: gRPC target.
        module: What ``python -m`` starts.
        settings: Further settings by name, e.g. ``lease_s``.
    """

    def __init__(
        self,
        folder: Path,
        redis_url: str,
        text_detection: str,
        *,
        module: str = "services.worker",
        **settings: Any,
    ) -> None:
        self.log = folder / "worker.log"
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        values = {
            "redis_url": redis_url,
            "state_dir": folder / "state",
            "dataset_roots": folder / "data",
            "capability_addresses": json.dumps({"text_detection": text_detection}),
            "metrics_port": 0,
            "heartbeat_s": 0.2,
            "lease_s": 1.5,
            "sweep_s": 0.2,
            "resend_after_s": 1.0,
            "retry_s": 0.1,
            "concurrency": 1,
            **settings,
        }
        self._environment = dict(os.environ) | {
            f"INTERPLAY_{name.upper()}": str(value) for name, value in values.items()
        }

    def start(self) -> None:
        """Start it; it takes jobs as soon as it is up."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self._module],
                cwd=REPOSITORY_ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
            )

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.poll() if self._process else None

    def kill(self) -> None:
        """SIGKILL: no goodbyes."""
        self._end(signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM, as an orchestrator sends it; returns the exit code."""
        return self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(timeout=30)
        self._process = None
        return code

    def events(self, name: str) -> list[dict[str, Any]]:
        """Log lines of one event."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        parsed = (json.loads(line) for line in lines if line.startswith("{"))
        return [event for event in parsed if event.get("event") == name]
