"""The Celery tasks: run the job with this id, or help with it. All they do is carry ids and context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from opentelemetry import propagate

from interplay.jobs.assist import assist
from interplay.jobs.dispatch import ASSIST_JOB, RUN_JOB
from interplay.jobs.runner import JobRunner
from interplay.telemetry.context import CELERY_HEADER, accept_request_id, set_request_id
from interplay.telemetry.tracing import tracer


def register_tasks(app: Celery, runner: JobRunner) -> None:
    """Add the tasks to the application."""

    @app.task(name=RUN_JOB, bind=True, shared=False)
    def run_job(task: Any, job_id: str) -> None:
        with _context_of(task, job_id):
            runner.run(job_id)

    @app.task(name=ASSIST_JOB, bind=True, shared=False)
    def assist_job(task: Any, job_id: str) -> None:
        with _context_of(task, job_id):
            assist(runner, job_id)


@contextmanager
def _context_of(task: Any, job_id: str) -> Iterator[None]:
    """Request id and trace of the message that brought the task."""
    headers = task.request.headers or {}
    set_request_id(accept_request_id(headers.get(CELERY_HEADER)))
    with tracer.start_as_current_span(
        task.name, context=propagate.extract(headers), attributes={"interplay.job_id": job_id}
    ):
        yield
