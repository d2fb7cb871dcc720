"""A reader of Compose files (no Docker where tests run): variables, anchors, several files, profiles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:-|:\?)([^}]*))?\})")
# Fields of a service whose values of a further file are added to those there are.
_ADDED = {"ports", "volumes", "secrets", "profiles"}


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """A file's text with ``${NAME}``, ``${NAME:-default}``, ``${NAME:?what to do}`` and ``$$`` replaced.

    Raises:
        ValueError: A variable that must be set is not.
    """

    def value(match: re.Match[str]) -> str:
        dollar, name, how, rest = match.groups()
        if dollar:
            return "$"
        if variables.get(name):
            return variables[name]
        if how == ":-":
            return str(rest)
        raise ValueError(f"{name} is not set: {rest or 'it must be'}")

    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return _VARIABLE.sub(value, "\n".join(lines))


def render(
    files: Iterable[Path], variables: Mapping[str, str], profiles: set[str] | None = None
) -> dict[str, Any]:
    """What ``docker compose config`` makes of files, as far as this project's files go.

    Args:
        files: The main one first.
        variables: Of the environment and ``.env``.
        profiles: Those that are active; None for all services.

    Returns:
        The project, with services of inactive profiles, and optional dependencies on them, left out.
    """
    project: dict[str, Any] = {}
    for file in files:
        found = yaml.safe_load(interpolate(file.read_text(), variables))
        for part, value in found.items():
            if part == "services" and part in project:
                for name, changes in value.items():
                    _merge_service(project[part][name], changes)
            else:
                project[part] = value
    project = {key: value for key, value in project.items() if not key.startswith("x-")}
    if profiles is not None:
        services = project["services"]
        active = {n: s for n, s in services.items() if profiles & set(s.get("profiles", profiles))}
        for service in active.values():
            depends = service.get("depends_on", {})
            service["depends_on"] = {
                n: on for n, on in depends.items() if n in active or on.get("required", True)
            }
        project["services"] = active
    return project


def _merge_service(service: dict[str, Any], changes: dict[str, Any]) -> None:
    for key, value in changes.items():
        service[key] = [*service.get(key, []), *value] if key in _ADDED else value
