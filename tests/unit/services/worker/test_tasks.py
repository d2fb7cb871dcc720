from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from interplay.jobs.dispatch import RUN_JOB, VISIBILITY_TIMEOUT_S, create_celery
from interplay.telemetry.context import get_request_id
from services.worker import tasks

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class Runner:
    """Remembers what it was asked to run, and in which context."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, str]] = []

    def run(self, job_id: str) -> None:
        span = trace.get_current_span().get_span_context()
        self.seen.append((job_id, get_request_id(), f"{span.trace_id:032x}"))


def test_request_id_and_trace_reach_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    app = create_celery("redis://127.0.0.1:1/0")
    runner = Runner()
    tasks.register_tasks(app, runner)  # type: ignore[arg-type]
    monkeypatch.setattr(tasks, "tracer", TracerProvider().get_tracer("test"))
    headers = {"request_id": "r-1", "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
    app.tasks[RUN_JOB].apply(args=["job"], headers=headers)
    assert runner.seen == [("job", "r-1", TRACE_ID)]


def test_a_message_without_headers_runs_too() -> None:
    app = create_celery("redis://127.0.0.1:1/0")
    runner = Runner()
    tasks.register_tasks(app, runner)  # type: ignore[arg-type]
    app.tasks[RUN_JOB].apply(args=["job"])
    ((job_id, request_id, _),) = runner.seen
    assert job_id == "job"
    assert len(request_id) == 32


def test_settings_that_keep_jobs_safe() -> None:
    settings = create_celery("redis://127.0.0.1:1/0").conf
    assert settings.task_acks_late and settings.task_reject_on_worker_lost and settings.task_ignore_result
    assert settings.worker_prefetch_multiplier == 1
    assert settings.accept_content == ["json"]
    assert settings.broker_connection_retry_on_startup and settings.broker_connection_max_retries is None
    assert settings.worker_soft_shutdown_timeout > 0
    assert settings.visibility_timeout == VISIBILITY_TIMEOUT_S
    assert settings.broker_transport_options["visibility_timeout"] == VISIBILITY_TIMEOUT_S
    assert settings.result_backend_transport_options["visibility_timeout"] == VISIBILITY_TIMEOUT_S
