"""A worker with one more kind of job, ``poison``, whose second unit kills the process.

python -m tests.service.poison_worker
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

from interplay.jobs.kinds import Kinds
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobParams, JobResult, Work
from interplay.settings import load_settings
from services.worker.__main__ import run
from services.worker.settings import WorkerSettings


class PoisonWork(Work):
    """Ends its process, as running out of memory would."""

    def plan(self) -> list[list[Any]]:
        """Two units."""
        return [["good"], ["poison"]]

    def run_unit(self, items: list[Any]) -> list[Any]:
        """Do the good one."""
        if items == ["poison"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return items

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Never comes to this."""
        return JobResult(summary={}, output="")


def start(params: JobParams, context: JobContext) -> Work:
    """Work of one attempt."""
    return PoisonWork()


POISON = JobKind("poison", "Kills its worker", JobParams, {}, start)

if __name__ == "__main__":
    sys.exit(run(load_settings(WorkerSettings), Kinds((POISON,))))
