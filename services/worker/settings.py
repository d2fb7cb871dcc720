"""Configuration of the worker process."""

from __future__ import annotations

from pydantic import Field, model_validator

from interplay.capabilities import WORKER_METRICS_PORT
from interplay.jobs.runner import HEARTBEAT_S, PATIENCE_S, RETRY_S
from interplay.jobs.sweep import LEASE_S
from interplay.settings import StateSettings
from services.worker.liveness import LivenessSettings


class WorkerSettings(StateSettings, LivenessSettings):
    """Fields of the worker; ``StateSettings`` adds addresses, job table, data set roots and Valkey."""

    metrics_port: int = Field(
        WORKER_METRICS_PORT, ge=0, le=65535, description="Port of the Prometheus endpoint."
    )
    concurrency: int = Field(
        2, ge=1, le=64, description="Jobs at a time; the model servers do the heavy part."
    )
    heartbeat_s: float = Field(HEARTBEAT_S, gt=0, description="Time between a running job's heartbeats.")
    lease_s: float = Field(
        LEASE_S, gt=0, description="A job that is silent for this long goes to another worker."
    )
    patience_s: float = Field(
        PATIENCE_S, ge=0, description="Longest wait for a model server that is down or full."
    )
    retry_s: float = Field(RETRY_S, ge=0, description="Wait before the second attempt; doubled each time.")
    sweep_s: float = Field(
        2.0, gt=0, description="Time between looks at the job table for lost and unsent jobs."
    )
    resend_after_s: float = Field(
        10.0, gt=0, description="Queued jobs sent longer ago are sent again when the broker has no messages."
    )
    deaf_after_s: float = Field(
        120.0, gt=0, description="Exit when messages wait and none has come for this long while idle."
    )

    @model_validator(mode="after")
    def _check_lease(self) -> WorkerSettings:
        if self.lease_s < 3 * self.heartbeat_s:
            raise ValueError(
                f"LEASE_S ({self.lease_s:g}) must be at least three times HEARTBEAT_S ({self.heartbeat_s:g})"
            )
        return self
