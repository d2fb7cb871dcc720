"""Configuration of the embedding server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from interplay.capabilities import get_capability
from interplay.serving.settings import ModelServerSettings
from interplay.settings import MAX_SNAPSHOT_BYTES

CAPABILITY = get_capability("embedding")


class EmbeddingSettings(ModelServerSettings):
    """``ModelServerSettings`` with this capability's ports, models and indexes."""

    port: int = Field(CAPABILITY.grpc_port, ge=0, le=65535, description="gRPC port; 0 picks a free one.")
    metrics_port: int = Field(
        CAPABILITY.metrics_port, ge=0, le=65535, description="Port of the Prometheus endpoint."
    )
    model_version: int | None = Field(
        None, ge=1, description="Version of image and word model; the newest if unset."
    )
    max_batch_items: int = Field(32, ge=1, description="Images in one batch.")
    max_inflight: int = Field(64, ge=1, description="Images waiting or running; more are refused at once.")
    state_dir: Path = Field(
        Path("~/.local/share/interplay"),
        description="Its folder indexes keeps embedded indexes, snapshots their snapshots.",
    )
    max_snapshot_bytes: int = Field(
        MAX_SNAPSHOT_BYTES, ge=1024, description="Largest snapshot of an index that is taken."
    )
    qdrant_url: str | None = Field(
        None, description="Qdrant server or cluster that keeps the indexes; embedded ones if unset."
    )
    qdrant_api_key: str | None = Field(None, description="Its API key, if it wants one.")

    @field_validator("state_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().resolve()
