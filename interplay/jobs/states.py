"""The states of a job and the moves between them; every change of state in the table asks this file.

queued ──► running ──► succeeded ─┐
  │ ▲        │  │ └──► failed ────┤
  │ └────────┘  ▼                 ├──► expired
  │         cancelling ──► … ─────┤
  └──────────────► cancelled ─────┘
"""

from __future__ import annotations

from enum import StrEnum


class JobState(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_final(self) -> bool:
        """Whether the work is over; a final job can only expire."""
        return self in FINAL_STATES


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED})

TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset({JobState.RUNNING, JobState.CANCELLED}),
    # Back to queued: its worker died, was stopped, or the attempt failed and another one is due.
    JobState.RUNNING: frozenset(
        {JobState.QUEUED, JobState.CANCELLING, JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}
    ),
    # The request to cancel may come when the last unit is already done, or when it fails.
    JobState.CANCELLING: frozenset({JobState.CANCELLED, JobState.SUCCEEDED, JobState.FAILED}),
    JobState.SUCCEEDED: frozenset({JobState.EXPIRED}),
    JobState.FAILED: frozenset({JobState.EXPIRED}),
    JobState.CANCELLED: frozenset({JobState.EXPIRED}),
    JobState.EXPIRED: frozenset(),
}


def sources_of(target: JobState) -> list[str]:
    """States from which a job may move to ``target``, for a WHERE clause."""
    return sorted(source for source, targets in TRANSITIONS.items() if target in targets)
