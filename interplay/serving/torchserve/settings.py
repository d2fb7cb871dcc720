"""How a model server reaches its TorchServe."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, Field


class TorchServeSettings(BaseModel):
    """Fields under ``torchserve`` of a model server's settings."""

    target: str = Field("127.0.0.1:7070", description="gRPC inference address of the TorchServe.")
    key_file: Path | None = Field(
        None, description="key_file.json that it wrote; its inference token goes with every call."
    )
    timeout_s: float = Field(120.0, gt=0, description="Longest time for one batch, whatever its deadline.")
    startup_timeout_s: float = Field(300.0, gt=0, description="Longest wait for it to have a model loaded.")
    health_interval_s: float = Field(2.0, gt=0, description="Time between two questions for its health.")
    max_batch_bytes: int = Field(
        512 * 1024 * 1024,
        ge=1,
        le=2**31 - 1,
        description="Largest batch, encoded; TorchServe's limit is this.",
    )
