"""Celery as the dispatcher: it carries job ids and nothing else. What is true is in the job table.

Settings follow what breaks in practice: messages are acknowledged late and one at a time, so a dead
worker's come back; the visibility timeout is the same in all three places that read it; workers use
threads, because gRPC does not survive a fork.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

from celery import Celery
from kombu.exceptions import KombuError, OperationalError
from opentelemetry import propagate

from interplay.jobs.sweep import mark_dispatched
from interplay.jobs.table import Job, JobTable
from interplay.telemetry.context import CELERY_HEADER
from interplay.telemetry.logging import get_logger

QUEUE = "interplay.jobs"
RUN_JOB = "interplay.run_job"
ASSIST_JOB = "interplay.assist_job"
# A message that was delivered and not acknowledged is delivered again after this. A job may run for
# longer: the second delivery finds the job held and is dropped.
VISIBILITY_TIMEOUT_S = 3600
SOFT_SHUTDOWN_S = 60.0
_CONNECT_TIMEOUT_S = 3.0
# Must exceed the time for which the worker's blocking read waits (1 s).
_SOCKET_TIMEOUT_S = 5.0

log = get_logger(__name__)


def create_celery(redis_url: str) -> Celery:
    """The Celery application, for sending and for running alike."""
    transport = {
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "socket_connect_timeout": _CONNECT_TIMEOUT_S,
        "socket_timeout": _SOCKET_TIMEOUT_S,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
    app = Celery("interplay", broker=redis_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=True,
        # Loops are broken by the cap on attempts in the job table.
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        visibility_timeout=VISIBILITY_TIMEOUT_S,
        broker_transport_options=transport,
        result_backend_transport_options=transport,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_S,
        # Threads cannot be cancelled, and a job need not stop for a broken connection: it is held by its
        # lease, and the message that is delivered again finds it held or done.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        enable_utc=True,
    )
    return app


class Dispatcher:
    """Hands job ids to the broker. A broker that is down is no error: the sweeper sends later."""

    def __init__(self, app: Celery, table: JobTable) -> None:
        self._app = app
        self._table = table

    def send(self, jobs: Iterable[Job]) -> bool:
        """Send ids and note it in the table; say whether the broker took all."""
        sent: list[str] = []
        unsent: list[str] = []
        for job in jobs:
            try:
                if unsent:  # the broker was down a moment ago; do not wait for it again and again
                    raise OperationalError("broker down")
                self._send(RUN_JOB, job)
                sent.append(job.id)
            except (KombuError, OSError) as error:
                if not unsent:
                    log.warning("broker_down", error=str(error), job_id=job.id)
                unsent.append(job.id)
        if sent:
            mark_dispatched(self._table, sent, sent=True)
        if unsent:
            mark_dispatched(self._table, unsent, sent=False)
        return not unsent

    def call_helper(self, job: Job) -> None:
        """Ask a worker with a free slot to help with a running job; a broker that is down is no error."""
        with contextlib.suppress(KombuError, OSError):
            self._send(ASSIST_JOB, job)

    def _send(self, task: str, job: Job) -> None:
        headers: dict[str, Any] = {CELERY_HEADER: job.request_id}
        propagate.inject(headers)
        self._app.send_task(
            task,
            args=[job.id],
            queue=QUEUE,
            headers=headers,
            # One retry: a pooled connection may be one that a restarted broker has forgotten.
            retry_policy={"max_retries": 1, "interval_start": 0.0, "interval_step": 0.1},
        )

    def messages(self) -> int | None:
        """Ids that wait in the broker for a worker; None when the broker does not answer."""
        try:
            with self._app.connection_for_read() as connection:
                connection.ensure_connection(max_retries=1, interval_start=0, timeout=_CONNECT_TIMEOUT_S)
                return int(connection.default_channel.queue_declare(QUEUE).message_count)
        except (KombuError, OSError):
            return None

    def close(self) -> None:
        """Close the connections to the broker."""
        self._app.close()
