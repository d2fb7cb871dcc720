"""Configuration of a model server; each capability's settings build on it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from interplay.capabilities import get_capability
from interplay.media.images import ImageLimits
from interplay.serving.batcher import BatchLimits
from interplay.serving.torchserve.settings import TorchServeSettings
from interplay.settings import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS, REPOSITORY_ROOT, ProcessSettings


class ModelServerSettings(ProcessSettings):
    """Fields of every model server."""

    host: str = Field("127.0.0.1", description="Address to bind. Clients are not authenticated here.")
    port: int = Field(..., ge=0, le=65535, description="gRPC port; 0 picks a free one.")
    metrics_port: int = Field(..., ge=0, le=65535, description="Port of the Prometheus endpoint.")
    model_store: Path = Field(REPOSITORY_ROOT / "model_store", description="Folder of the model store.")
    runtime: Literal["in_process", "torchserve"] = Field(
        "in_process",
        description="What runs the models: this process, or a TorchServe that has them packaged.",
    )
    torchserve: TorchServeSettings = Field(
        default_factory=TorchServeSettings, description="The TorchServe of runtime=torchserve."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one.")
    threads: int | None = Field(None, ge=1, description="Threads of one inference; usable cores if unset.")

    max_batch_items: int = Field(8, ge=1, description="Images in one batch.")
    max_batch_pixels: int | None = Field(
        None, ge=1, description="Model input pixels in one batch; if unset 1 million on a CPU, 8 on a GPU."
    )
    max_delay_ms: float = Field(2.0, ge=0, description="How long a batch waits for items on their way.")
    max_inflight: int = Field(16, ge=1, description="Requests waiting or running; more are refused at once.")
    max_inflight_pixels: int = Field(80_000_000, ge=1, description="Their pixels together.")
    max_image_bytes: int = Field(
        MAX_IMAGE_BYTES, ge=1, le=MAX_IMAGE_BYTES, description="Largest encoded image."
    )
    max_image_pixels: int = Field(MAX_IMAGE_PIXELS, ge=1, description="Largest image, width times height.")
    max_deadline_s: float = Field(60.0, gt=0, description="Longer deadlines are cut to this.")

    drain_delay_s: float = Field(
        0.25, ge=0, description="After SIGTERM serve on this long as NOT_SERVING; balancers notice."
    )
    drain_grace_s: float = Field(30.0, ge=0, description="Then wait this long for calls in progress.")
    max_connection_age_s: float = Field(
        300.0, gt=0, description="Connections are renewed at this age, so that new replicas get their share."
    )
    reflection: bool = Field(True, description="Describe the services to tools such as grpcurl.")

    @property
    def image_limits(self) -> ImageLimits:
        """Limits of the decoder."""
        return ImageLimits(max_bytes=self.max_image_bytes, max_pixels=self.max_image_pixels)

    @property
    def batch_limits(self) -> BatchLimits:
        """Limits of the batcher of the server's main model."""
        return BatchLimits(
            max_batch_items=self.max_batch_items,
            max_batch_pixels=self.max_batch_pixels,
            max_delay_s=self.max_delay_ms / 1000,
            max_inflight=self.max_inflight,
            max_inflight_pixels=self.max_inflight_pixels,
        )


class DetectionSettings(ModelServerSettings):
    """Of a server that asks the text detection server."""

    capability_addresses: dict[str, str] = Field(
        default_factory=dict,
        description='gRPC targets by capability, JSON: {"text_detection": "127.0.0.1:50051"}; '
        "text is found there.",
    )

    @property
    def detection_target(self) -> str:
        """Where the text detection server is."""
        detection = get_capability("text_detection")
        return self.capability_addresses.get(detection.name, f"127.0.0.1:{detection.grpc_port}")
