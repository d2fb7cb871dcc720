"""Start a worker: ``python -m services.worker``. Settings: ``services.worker.settings``."""

from __future__ import annotations

import logging
import os
import socket
import sys

from celery import signals

from interplay.datasets import Datasets
from interplay.errors import InterplayError
from interplay.jobs.dispatch import Dispatcher, create_celery
from interplay.jobs.kinds import Kinds
from interplay.jobs.runner import JobRunner
from interplay.jobs.schema import Database
from interplay.jobs.table import JobTable
from interplay.jobs.work import ModelServers
from interplay.settings import load_settings
from interplay.telemetry.logging import configure_logging, get_logger
from interplay.telemetry.metrics import serve_metrics
from interplay.telemetry.tracing import configure_tracing
from services.worker.settings import WorkerSettings
from services.worker.sweeper import Sweeper
from services.worker.tasks import register_tasks

log = get_logger("services.worker")


def run(settings: WorkerSettings, kinds: Kinds) -> int:
    """Run a worker until SIGTERM or SIGINT; jobs then stop after the unit they are at.

    Args:
        settings: Configuration.
        kinds: Job kinds this worker can run.

    Returns:
        The process's exit code.
    """
    configure_logging("worker", level=settings.log_level, log_format=settings.log_format)
    configure_tracing("worker", settings.otlp_endpoint)
    logging.captureWarnings(True)
    for chatty in ("celery.worker.strategy", "celery.app.trace"):  # the runner says more of each job
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # Celery would set up logging of its own otherwise.
    signals.setup_logging.connect(_keep_logging)

    database = Database(settings.effective_database_url)
    table = JobTable(database)
    models = ModelServers(settings.capability_addresses)
    runner = JobRunner(
        table,
        kinds,
        Datasets(settings.dataset_roots),
        models,
        worker=f"{socket.gethostname()}-{os.getpid()}",
        heartbeat_s=settings.heartbeat_s,
        patience_s=settings.patience_s,
        retry_s=settings.retry_s,
        lease_s=settings.lease_s,
    )
    app = create_celery(settings.redis_url)
    register_tasks(app, runner)
    sweeper = Sweeper(table, Dispatcher(app, table), runner, settings, kinds=kinds)

    def give_back(**_: object) -> None:
        runner.stop()

    signals.worker_shutting_down.connect(give_back)
    serve_metrics(settings.metrics_host, settings.metrics_port)
    sweeper.start()
    log.info("worker_started", kinds=[kind.name for kind in kinds], concurrency=settings.concurrency)
    worker = app.Worker(
        # Threads: gRPC channels do not survive the fork of Celery's usual pool.
        pool="threads",
        concurrency=settings.concurrency,
        hostname=f"worker-{os.getpid()}@{socket.gethostname()}",
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    try:
        worker.start()
    finally:
        runner.stop()
        sweeper.stop()
        models.close()
        database.close()
    log.info("worker_stopped")
    return int(worker.exitcode or 0)


def _keep_logging(**_: object) -> None:
    """Receiver whose presence alone keeps Celery from configuring logging."""


def main() -> int:
    """Build the settings and run."""
    settings = load_settings(WorkerSettings)
    try:
        return run(settings, Kinds())
    except InterplayError as error:
        log.error("worker_cannot_start", error=error.message)
        return 1


if __name__ == "__main__":
    sys.exit(main())
