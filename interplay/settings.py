"""Configuration that every process shares.

Each process has one settings class (``gateway.settings``, ``services.<capability>.settings``,
``services.worker.settings``) built on ``ProcessSettings``; ``main()`` builds it once and passes it
down. Variables start with ``INTERPLAY_``; nested fields are joined with ``__``. Nothing else reads
the environment.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

# One limit for server, client channel and gateway: the largest image, with room for the rest of a message.
MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_IMAGE_PIXELS = 40_000_000
MAX_MESSAGE_BYTES = 32 * 1024 * 1024
# Some ten million entries; a snapshot goes through in pieces, so only disks set a limit.
MAX_SNAPSHOT_BYTES = 16 * 1024 * 1024 * 1024

REPOSITORY_ROOT = Path(__file__).resolve().parent.parent

S = TypeVar("S", bound=BaseSettings)


def available_cores() -> int:
    """Cores this process may use: its CPU affinity, further limited by the cgroup's CPU quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    except (OSError, ValueError):
        pass
    return max(1, cores)


class ProcessSettings(BaseSettings):
    """Fields that every process has."""

    model_config = SettingsConfigDict(env_prefix="INTERPLAY_", env_nested_delimiter="__", extra="ignore")

    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="Least level logged.")
    log_format: Literal["json", "console"] = Field(
        "json", description="json for machines, console for people."
    )
    otlp_endpoint: str | None = Field(None, description="OTLP gRPC endpoint; tracing is off without it.")
    metrics_host: str = Field("127.0.0.1", description="Address of the Prometheus endpoint.")


class StateSettings(ProcessSettings):
    """Fields of processes that hold or run jobs: gateway and worker."""

    state_dir: Path = Field(
        Path("~/.local/share/interplay"), description="Job table, job results and other local state."
    )
    redis_url: str = Field("redis://127.0.0.1:6379/0", description="Redis or Valkey: broker and rate limits.")
    database_url: str | None = Field(
        None, description="SQLAlchemy URL of the job table; SQLite in state_dir if unset."
    )
    dataset_roots: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="fsspec URLs or folders that jobs may read and write, separated by commas."
    )
    capability_addresses: dict[str, str] = Field(
        default_factory=dict,
        description='gRPC targets by capability, JSON: {"text_detection": "127.0.0.1:50051"}.',
    )

    @field_validator("state_dir")
    @classmethod
    def _expand(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("dataset_roots", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @property
    def effective_database_url(self) -> str:
        """The job table's URL."""
        return self.database_url or f"sqlite:///{self.state_dir / 'jobs.sqlite3'}"


def load_settings(settings_type: type[S], **overrides: Any) -> S:
    """Build a process's settings, or end the process with one clear line per bad value."""
    try:
        return settings_type(**overrides)
    except SettingsError as error:  # a value that should be JSON and is not
        print(f"bad configuration: {error}", file=sys.stderr)
        sys.exit(2)
    except ValidationError as error:
        for problem in error.errors():
            name = "__".join(str(part) for part in problem["loc"]).upper()
            message = problem["msg"].removeprefix("Value error, ")
            print(f"bad configuration: INTERPLAY_{name}: {message}", file=sys.stderr)
        sys.exit(2)
