"""Answers of the probes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


class Liveness(BaseModel):
    """Answer of ``/livez``."""

    status: Literal["alive"]


class PartState(BaseModel):
    """State of one part of the system."""

    state: Literal["serving", "down", "draining"]
    detail: str | None = Field(default=None, description="What is wrong.")


class Readiness(BaseModel):
    """Answer of ``/readyz``."""

    status: Literal["ready", "not_ready"]
    parts: dict[str, PartState] = Field(
        description="Every capability by name, `redis` and `jobs`; `gateway` while it stops, or for `own`."
    )
