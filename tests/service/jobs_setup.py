"""The gateway with a real job table, for tests of jobs over HTTP."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from gateway.job_service import JobService
from gateway.main import create_app
from gateway.settings import GatewaySettings
from interplay.jobs.lease import Lease, claim
from interplay.jobs.schema import Database
from interplay.jobs.table import JobTable
from interplay.launcher.ports import free_port
from tests.conftest import wait_until

PARAMS = {"input": "in", "output": "out", "rule": {"threshold": 0.5}}
BODY = {"kind": "filter_text_images", "params": PARAMS}


class GatewayThread:
    """The gateway on a port of its own, in a thread of the test."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.app = create_app(settings)
        self._server = uvicorn.Server(
            uvicorn.Config(self.app, host="127.0.0.1", port=settings.port, log_config=None, lifespan="on")
        )
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        self._thread.start()
        wait_until(lambda: self._server.started, what="the gateway is up")

    @property
    def jobs(self) -> JobService:
        return self.app.state.gateway.jobs  # type: ignore[no-any-return]

    def stop(self) -> None:
        """Drain as the real process does on SIGTERM, and stop."""
        self.app.state.gateway.draining = True
        self._server.should_exit = True
        self._thread.join(20)


class Setup:
    """Gateway, table and client of one test."""

    def __init__(self, folder: Path, redis_url: str, **settings: Any) -> None:
        self.folder = folder
        (folder / "data/in").mkdir(parents=True)
        self.settings = GatewaySettings(
            port=free_port(),
            state_dir=folder / "state",
            redis_url=redis_url,
            dataset_roots=(str(folder / "data"),),
            **settings,
        )
        self.gateway = GatewayThread(self.settings)
        self.url = f"http://127.0.0.1:{self.settings.port}"
        self.client = httpx.Client(base_url=self.url, timeout=20)
        self.database = Database(self.settings.effective_database_url)
        self.table = JobTable(self.database)

    def submit(self, **headers: str) -> dict[str, Any]:
        answer = self.client.post("/v1/jobs", json=BODY, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def take(self, job_id: str) -> Lease:
        """Be the worker."""
        lease = claim(self.table, job_id, "test")
        assert lease is not None
        return lease

    def close(self) -> None:
        self.client.close()
        self.gateway.stop()
        self.database.close()
