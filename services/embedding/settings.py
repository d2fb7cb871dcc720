"""Configuration of the embedding server."""

from __future__ import annotations

from pydantic import Field

from interplay.capabilities import get_capability
from interplay.serving.indexes.settings import IndexSettings

CAPABILITY = get_capability("embedding")


class EmbeddingSettings(IndexSettings):
    """``IndexSettings`` with this capability's ports and models."""

    port: int = Field(CAPABILITY.grpc_port, ge=0, le=65535, description="gRPC port; 0 picks a free one.")
    metrics_port: int = Field(
        CAPABILITY.metrics_port, ge=0, le=65535, description="Port of the Prometheus endpoint."
    )
    model_version: int | None = Field(
        None, ge=1, description="Version of image and word model; the newest if unset."
    )
    max_batch_items: int = Field(32, ge=1, description="Images in one batch.")
    max_inflight: int = Field(64, ge=1, description="Images waiting or running; more are refused at once.")
