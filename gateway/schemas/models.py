"""Answer of ``/v1/models``: limits are data."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

from gateway.schemas.common import ModelBody


class ModelLimits(BaseModel):
    """What a model server enforces."""

    max_image_bytes: int
    max_image_pixels: int
    max_batch_items: int
    max_batch_pixels: int
    max_inflight: int = Field(description="Requests that wait or run at one time; more are refused with 429.")
    max_deadline_s: float
    max_message_bytes: int


class ServedModelBody(ModelBody):
    """A loaded model."""

    description: str
    license: str
    device: str = Field(description="`cpu` or `cuda:N`.")
    dtype: str
    runtime: str
    limits: ModelLimits
    thresholds: dict[str, float] = Field(description="Default thresholds by name.")
    labels: list[str]

    @classmethod
    def from_proto(cls, proto: Any) -> ServedModelBody:
        """From ``interplay.common.v1.ServedModel``."""
        return cls(
            name=proto.info.name,
            version=proto.info.version,
            digest=proto.info.digest,
            description=proto.description,
            license=proto.license,
            device=proto.device,
            dtype=proto.dtype,
            runtime=proto.runtime,
            limits=ModelLimits(**{name: getattr(proto.limits, name) for name in ModelLimits.model_fields}),
            thresholds=dict(proto.thresholds),
            labels=list(proto.labels),
        )


class CapabilityBody(BaseModel):
    """A capability with its models."""

    name: str
    summary: str
    available: bool
    detail: str | None = Field(default=None, description="Why it is not available.")
    models: list[ServedModelBody]


class GatewayLimits(BaseModel):
    """What the gateway enforces before a model server is asked."""

    max_image_bytes: int
    max_image_pixels: int
    max_json_bytes: int = Field(description="Largest body of requests without an image.")
    max_inflight: int = Field(description="Calls to one capability at a time.")
    request_timeout_s: float
    rate_limit_per_s: float = Field(description="Requests a second for one caller; 0 is unlimited.")
    image_media_types: list[str]
    image_urls: bool = Field(description="Whether images may be given by URL.")


class ModelsAnswer(BaseModel):
    """Answer of ``/v1/models``."""

    capabilities: list[CapabilityBody]
    limits: GatewayLimits
