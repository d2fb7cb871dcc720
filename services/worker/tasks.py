"""The one Celery task: run the job with this id. All it does is carry ids and context to the runner."""

from __future__ import annotations

from typing import Any

from celery import Celery
from opentelemetry import propagate

from interplay.jobs.dispatch import RUN_JOB
from interplay.jobs.runner import JobRunner
from interplay.telemetry.context import CELERY_HEADER, accept_request_id, set_request_id
from interplay.telemetry.tracing import tracer


def register_tasks(app: Celery, runner: JobRunner) -> None:
    """Add the task to the application."""

    @app.task(name=RUN_JOB, bind=True, shared=False)
    def run_job(task: Any, job_id: str) -> None:
        headers = task.request.headers or {}
        set_request_id(accept_request_id(headers.get(CELERY_HEADER)))
        with tracer.start_as_current_span(
            RUN_JOB, context=propagate.extract(headers), attributes={"interplay.job_id": job_id}
        ):
            runner.run(job_id)
