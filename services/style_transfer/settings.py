"""Configuration of the style transfer server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from interplay.capabilities import get_capability
from interplay.serving.settings import DetectionSettings

CAPABILITY = get_capability("style_transfer")


class StyleTransferSettings(DetectionSettings):
    """``DetectionSettings`` with this capability's ports and models."""

    port: int = Field(CAPABILITY.grpc_port, ge=0, le=65535, description="gRPC port; 0 picks a free one.")
    metrics_port: int = Field(
        CAPABILITY.metrics_port, ge=0, le=65535, description="Port of the Prometheus endpoint."
    )
    max_image_pixels: int = Field(
        12_000_000,
        ge=1,
        description="Largest image, width times height: almost a minute's work on two cores.",
    )
    max_styled_pixels: int = Field(
        24_000_000, ge=1, description="Pixels of an image times the results asked for in one call."
    )
    max_deadline_s: float = Field(
        180.0,
        gt=0,
        description="Longer deadlines are cut to this: the largest call takes a minute and a half.",
    )
    font: Path | None = Field(
        None, description="Font file for drawn words; if unset, one with Latin, Greek and Cyrillic letters."
    )

    @field_validator("font")
    @classmethod
    def _check_font(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError(f"there is no font file {value}")
        return value
