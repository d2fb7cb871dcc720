"""The thread that keeps jobs moving whatever happens to workers and broker.

Every worker runs one. It finds lost jobs, sends ids that the broker does not have, calls helpers to
running jobs while slots are free, lets results expire, sets the gauges, and ends the process when
its consumer has gone deaf: connected, idle, and yet not taking messages that wait (a known failing
of Celery after a broker's restart).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from interplay.jobs import sweep
from interplay.jobs.assist import job_to_assist
from interplay.jobs.dispatch import Dispatcher
from interplay.jobs.kinds import Kinds
from interplay.jobs.runner import JobRunner
from interplay.jobs.table import JobTable
from interplay.telemetry.logging import get_logger
from services.worker.settings import WorkerSettings

DEAF_EXIT_CODE = 70
NO_KINDS = Kinds(())

log = get_logger(__name__)


class Sweeper:
    """Sweeps until stopped.

    Args:
        table: The job table.
        dispatcher: Sends ids.
        runner: Tells whether this worker is idle.
        settings: Intervals.
        kinds: Kinds whose jobs may have helpers.
        leave: Ends the process with an exit code; a restart cures deafness.
    """

    def __init__(
        self,
        table: JobTable,
        dispatcher: Dispatcher,
        runner: JobRunner,
        settings: WorkerSettings,
        *,
        kinds: Kinds = NO_KINDS,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._table = table
        self._dispatcher = dispatcher
        self._runner = runner
        self._settings = settings
        self._kinds = kinds
        self._leave = leave
        self._ignored_since: float | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the thread and wait for it."""
        self._stopping.set()
        self._thread.join()

    def sweep(self) -> None:
        """One round."""
        for job in sweep.recover_lost(self._table, lease_s=self._settings.lease_s):
            log.warning(
                "job_recovered", job_id=job.id, kind=job.kind, state=job.state.value, attempt=job.attempt
            )
        messages = self._dispatcher.messages()
        if messages is not None:
            # With an empty queue, a job that was sent a while ago is either with a busy worker or lost
            # with the broker's data. Sending it once more is right for the one and harmless for the other.
            resend_after_s = self._settings.resend_after_s if messages == 0 else None
            due = sweep.due_for_dispatch(self._table, resend_after_s=resend_after_s)
            self._dispatcher.send(due)
            if messages == 0 and not due:
                self._call_helper()
        for job in sweep.expire(self._table):
            log.info("job_expired", job_id=job.id, kind=job.kind)
        sweep.measure_backlog(self._table)
        self._check_hearing(messages)

    def _call_helper(self) -> None:
        """Offer a free slot of this worker to a running job; nothing else waits for it now."""
        if self._runner.active >= self._settings.concurrency:
            return
        job = job_to_assist(self._table, self._kinds, lease_s=self._settings.lease_s)
        if job is not None:
            self._dispatcher.call_helper(job)

    def _check_hearing(self, messages: int | None) -> None:
        if not messages or self._runner.active:
            self._ignored_since = None
            return
        now = time.monotonic()
        if self._ignored_since is None:
            self._ignored_since = now
        elif now - self._ignored_since > self._settings.deaf_after_s:
            log.error("worker_deaf", messages=messages, idle_s=round(now - self._ignored_since))
            self._leave(DEAF_EXIT_CODE)

    def _run(self) -> None:
        while True:
            try:
                self.sweep()
                if self._settings.liveness_file:
                    self._settings.liveness_file.touch()
            except Exception:  # the database may be down; the liveness file then grows old
                log.exception("sweep_failed")
            if self._stopping.wait(self._settings.sweep_s):
                return
