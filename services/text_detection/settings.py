"""Configuration of the text detection server."""

from __future__ import annotations

from pydantic import Field

from interplay.capabilities import get_capability
from interplay.serving.settings import ModelServerSettings

CAPABILITY = get_capability("text_detection")


class TextDetectionSettings(ModelServerSettings):
    """``ModelServerSettings`` with this capability's ports and models."""

    port: int = Field(CAPABILITY.grpc_port, ge=0, le=65535, description="gRPC port; 0 picks a free one.")
    metrics_port: int = Field(
        CAPABILITY.metrics_port, ge=0, le=65535, description="Port of the Prometheus endpoint."
    )
    model: str = Field(CAPABILITY.models[0], description="Heatmap model in the store.")
    model_version: int | None = Field(None, ge=1, description="Its version; the newest if unset.")
    reader_batch_items: int = Field(32, ge=1, description="Word crops read in one batch.")
