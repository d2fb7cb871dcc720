"""Gateway, worker and model server in one process, and one request for a job: prints the spans it left.

A process has one tracer provider for good, hence a program of its own:
``python -m tests.service.traced_job FOLDER REDIS_URL``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from pathlib import Path

import httpx
from celery import Celery
from opentelemetry import trace
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.settings import GatewaySettings
from interplay.datasets import Datasets
from interplay.jobs.dispatch import create_celery
from interplay.jobs.kinds import Kinds
from interplay.jobs.runner import JobRunner
from interplay.jobs.schema import Database
from interplay.jobs.table import JobTable
from interplay.jobs.work import ModelServers
from interplay.launcher.ports import free_port
from interplay.telemetry.tracing import configure_tracing
from services.worker.tasks import register_tasks
from tests.conftest import wait_until
from tests.fake_text_detection import picture
from tests.scripted_service import scripted_server
from tests.service.jobs_setup import BODY, GatewayThread

TRACE_ID, PARENT_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


def start_worker(app: Celery) -> tuple[object, threading.Thread]:
    """The worker as ``services.worker`` makes it, in a thread."""
    worker = app.Worker(pool="threads", concurrency=1, without_gossip=True, without_mingle=True, quiet=True)
    thread = threading.Thread(target=worker.start, daemon=True)
    thread.start()
    return worker, thread


def send(settings: GatewaySettings) -> None:
    """Submit the job as a caller within a trace of its own, and wait for its end."""
    header = {"traceparent": f"00-{TRACE_ID}-{PARENT_ID}-01"}
    with httpx.Client(base_url=f"http://127.0.0.1:{settings.port}", timeout=30) as client:
        answer = client.post("/v1/jobs", json=BODY, headers=header)
        assert answer.status_code == 202, answer.text
        where = f"/v1/jobs/{answer.json()['id']}"
        wait_until(
            lambda: client.get(where).json()["state"] == "succeeded", timeout_s=60, what="the job is done"
        )


async def main(folder: Path, redis_url: str) -> None:
    """Run the request."""
    (folder / "data/in").mkdir(parents=True)
    (folder / "data/in/one.png").write_bytes(picture(0.5))
    exporter = InMemorySpanExporter()
    assert configure_tracing("everything", None, exporter=exporter)
    async with scripted_server() as service:
        settings = GatewaySettings(
            port=free_port(),
            state_dir=folder / "state",
            redis_url=redis_url,
            dataset_roots=(str(folder / "data"),),
        )
        gateway = await asyncio.to_thread(GatewayThread, settings)
        models = ModelServers({"text_detection": service.address})
        table = JobTable(Database(settings.effective_database_url))
        app = create_celery(redis_url)
        register_tasks(
            app, JobRunner(table, Kinds(), Datasets(settings.dataset_roots), models, worker="test")
        )
        start_worker(app)
        await asyncio.to_thread(send, settings)
        await asyncio.to_thread(gateway.stop)
        trace.get_tracer_provider().force_flush()  # type: ignore[attr-defined]
        spans = [json.loads(span.to_json()) for span in exporter.get_finished_spans()]
        print(json.dumps(spans), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
