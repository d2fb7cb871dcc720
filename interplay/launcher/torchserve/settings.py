"""Configuration of a TorchServe that ``python -m interplay.launcher.torchserve`` starts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from interplay.settings import REPOSITORY_ROOT, ProcessSettings

KEY_FILE = "key_file.json"
# gRPC's own limit of one message is two gigabytes; a batch of photos is some tens of megabytes.
MAX_BATCH_BYTES = 512 * 1024 * 1024


class TorchServeProcessSettings(ProcessSettings):
    """Fields of the process."""

    model_store: Path = Field(REPOSITORY_ROOT / "model_store", description="Folder of the model store.")
    torchserve_dir: Path = Field(
        Path("~/.local/share/interplay/torchserve"), description="Archives, key file, scratch."
    )
    torchserve_host: str = Field("127.0.0.1", description="Address of the inference API.")
    torchserve_port: int = Field(7070, ge=1, le=65535, description="gRPC port of the inference API.")
    torchserve_capabilities: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Capabilities whose models are packaged, separated by commas; all if empty."
    )
    torchserve_heap_mb: int = Field(
        2048, ge=256, description="Largest heap of Java: a few batches at a time, several times over."
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="auto takes a GPU where there is one.")
    threads: int | None = Field(None, ge=1, description="Threads of one inference; usable cores if unset.")

    @field_validator("torchserve_capabilities", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @field_validator("torchserve_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().resolve()
