"""Configuration of the hate classifier server."""

from __future__ import annotations

from pydantic import Field

from interplay.capabilities import get_capability
from interplay.serving.settings import DetectionSettings

CAPABILITY = get_capability("hate_classifier")


class HateClassifierSettings(DetectionSettings):
    """``DetectionSettings`` with this capability's ports, model and limits."""

    port: int = Field(CAPABILITY.grpc_port, ge=0, le=65535, description="gRPC port; 0 picks a free one.")
    metrics_port: int = Field(
        CAPABILITY.metrics_port, ge=0, le=65535, description="Port of the Prometheus endpoint."
    )
    model_version: int | None = Field(None, ge=1, description="Version of the model; the newest if unset.")
    max_batch_items: int = Field(64, ge=1, description="Posts in one batch.")
    max_inflight: int = Field(256, ge=1, description="Posts waiting or running; more are refused at once.")
    max_deadline_s: float = Field(
        120.0, gt=0, description="Longer deadlines are cut to this: 64 images to be read take a minute."
    )
    read_timeout_s: float = Field(
        10.0,
        gt=0,
        description="So long the text detection server may take to read an image; then the post is judged "
        "without its image text.",
    )
    reads_at_once: int = Field(4, ge=1, description="Images that are being read at one time.")
