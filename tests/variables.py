"""Which environment variables a process reads, by its settings class."""

from __future__ import annotations

from pydantic import BaseModel

from gateway.settings import GatewaySettings
from interplay.capabilities import CAPABILITIES
from interplay.serving.indexes.settings import IndexSettings
from interplay.serving.settings import DetectionSettings, ModelServerSettings
from services.worker.settings import WorkerSettings


def settings_of(part: str) -> list[type[BaseModel]]:
    """Settings of the gateway, the worker, or a model server (by its slug), whose own class adds to these."""
    if part in ("gateway", "worker"):
        return [GatewaySettings if part == "gateway" else WorkerSettings]
    (row,) = (c for c in CAPABILITIES if c.slug == part)
    found: list[type[BaseModel]] = [ModelServerSettings]
    return found + [IndexSettings] * row.indexes + [DetectionSettings] * bool(row.calls)


def is_read(variable: str, part: str) -> bool:
    """Whether a part reads a variable; of nested fields (``A__B``) every step must be there."""
    steps = variable.removeprefix("INTERPLAY_").lower().split("__")
    return variable.startswith("INTERPLAY_") and any(_has(s, steps) for s in settings_of(part))


def _has(settings: type[BaseModel], steps: list[str]) -> bool:
    field = settings.model_fields.get(steps[0])
    if field is None or len(steps) == 1:
        return field is not None
    nested = field.annotation
    return isinstance(nested, type) and issubclass(nested, BaseModel) and _has(nested, steps[1:])
