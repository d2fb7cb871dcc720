"""Configuration of the LocSens server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from interplay.capabilities import get_capability
from interplay.serving.indexes.settings import IndexSettings

CAPABILITY = get_capability("locsens")


class LocSensSettings(IndexSettings):
    """``IndexSettings`` with this capability's ports, models and limits."""

    port: int = Field(CAPABILITY.grpc_port, ge=0, le=65535, description="gRPC port; 0 picks a free one.")
    metrics_port: int = Field(
        CAPABILITY.metrics_port, ge=0, le=65535, description="Port of the Prometheus endpoint."
    )
    state_dir: Path = Field(
        Path("~/.local/share/interplay"),
        description="Its folder locsens/indexes keeps embedded indexes, locsens/snapshots their snapshots.",
    )
    model_version: int | None = Field(
        None, ge=1, description="Version of image model and scorers; the newest if unset."
    )
    max_batch_items: int = Field(32, ge=1, description="Images in one batch.")
    max_inflight: int = Field(64, ge=1, description="Images waiting or running; more are refused at once.")
    max_exact_entries: int = Field(
        1_000_000, ge=1, description="Largest index that is searched in the mode exact: 3 kB of memory each."
    )
    max_kept_entries: int = Field(
        200_000,
        ge=0,
        description="Largest embedded index that the mode fast keeps in memory, once it has been asked: "
        "3 kB each; larger ones are read from disk.",
    )
