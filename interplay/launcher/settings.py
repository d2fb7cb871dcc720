"""Configuration of `interplay up`: the environment, over which command-line options win."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from interplay.capabilities import CAPABILITIES, GATEWAY_PORT, Capability, get_capability
from interplay.settings import StateSettings


class LauncherSettings(StateSettings):
    """What `interplay up` needs to know; the rest of the environment passes through to the parts."""

    host: str = Field("127.0.0.1", description="Gateway address; beyond the loopback it demands API keys.")
    port: int = Field(GATEWAY_PORT, ge=1, le=65535, description="Port of the gateway.")
    only: tuple[str, ...] = Field((), description="Capabilities to start; all of them if empty.")
    device: Literal["auto", "cpu", "cuda"] = "auto"
    runtime: Literal["in_process", "torchserve"] = Field(
        "in_process",
        description="What runs the models: the model servers, or a TorchServe that is started, too.",
    )
    log_format: Literal["json", "console"] = "console"
    verbose: bool = False

    @field_validator("dataset_roots")
    @classmethod
    def _absolute(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        """Folders become absolute; fsspec URLs stay as they are."""
        return tuple(root if "://" in root else str(Path(root).expanduser().resolve()) for root in value)

    @property
    def capabilities(self) -> tuple[Capability, ...]:
        """The rows to start.

        Raises:
            NotFound: ``only`` names something unknown.
        """
        chosen = [get_capability(name) for name in self.only]
        return tuple(c for c in CAPABILITIES if not chosen or c in chosen)

    @property
    def embeds_valkey(self) -> bool:
        """Whether no Redis or Valkey is configured, so that the launcher runs its own."""
        return "redis_url" not in self.model_fields_set

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the gateway."""
        return f"http://{browsable_host(self.host)}:{self.port}"


def browsable_host(host: str) -> str:
    """The address to connect to for a server that listens on ``host``."""
    if host in ("0.0.0.0", ""):
        return "127.0.0.1"
    return "[::1]" if host == "::" else f"[{host}]" if ":" in host else host


def child_environment(changes: dict[str, str]) -> dict[str, str]:
    """Environment of a part: this process's own with the part's variables set.

    gRPC's library writes notices (another server's end) past Python's logging, in a form of its own;
    unless ``GRPC_VERBOSITY`` says otherwise it writes errors alone, so that logs stay JSON lines.
    """
    return {"GRPC_VERBOSITY": "ERROR", **os.environ, **changes}
