"""One lock, and extras that hold what their role needs and no more."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import REPOSITORY_ROOT

PROJECT = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text())["project"]
LOCK = [
    line
    for line in (REPOSITORY_ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
]


def closure(extra: str) -> set[str]:
    """Canonical names of everything that an extra of this project brings."""
    found: set[str] = set()
    waiting = [Requirement(text) for text in PROJECT["dependencies"]]
    waiting += [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        requirement = waiting.pop()
        name, extras = canonicalize_name(requirement.name), frozenset(requirement.extras)
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        if name == "interplay":
            waiting += [
                Requirement(text) for wanted in extras for text in PROJECT["optional-dependencies"][wanted]
            ]
            continue
        found.add(name)
        for text in metadata.requires(name) or []:
            child = Requirement(text)
            if child.marker is None or any(child.marker.evaluate({"extra": e}) for e in (*extras, "")):
                waiting.append(child)
    return found


def test_the_lock_pins_exact_versions_and_names_no_index() -> None:
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!_-]+", line) for line in LOCK)
    assert "torch==2.14.1" in LOCK and "torchvision==0.29.1" in LOCK


@pytest.mark.skipif(sys.platform != "linux", reason="the lock is made for Linux")
def test_the_lock_holds_what_the_extras_bring_and_nothing_else() -> None:
    locked = {canonicalize_name(line.split("==")[0]) for line in LOCK}
    assert locked ^ closure("dev") == set()


@pytest.mark.parametrize("role", ["gateway", "worker", "jobs"])
def test_gateway_and_worker_carry_no_model_library(role: str) -> None:
    assert closure(role) & {"torch", "torchvision", "timm", "onnxruntime", "opencv-python"} == set()


def test_serving_carries_no_web_framework_and_no_broker() -> None:
    assert closure("serving") & {"fastapi", "celery", "sqlalchemy", "redis"} == set()
