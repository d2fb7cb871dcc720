"""Configuration of the indexes of a model server."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from interplay.serving.settings import ModelServerSettings
from interplay.settings import MAX_SNAPSHOT_BYTES


class IndexSettings(ModelServerSettings):
    """``ModelServerSettings`` of a server that keeps indexes."""

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
