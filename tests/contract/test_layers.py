"""The layers hold, and what must stay light stays light."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from interplay.capabilities import CAPABILITIES
from tests.conftest import REPOSITORY_ROOT

PYPROJECT = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text())
HEAVY = ("torch", "torchvision", "onnxruntime", "cv2", "timm")


def contract(name: str) -> dict[str, list[str]]:
    """One import-linter contract."""
    contracts = PYPROJECT["tool"]["importlinter"]["contracts"]
    return next(c for c in contracts if c["id"] == name)  # type: ignore[no-any-return]


@pytest.mark.slow
def test_imports_flow_one_way() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter, "--no-cache"], cwd=REPOSITORY_ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_service_is_kept_apart() -> None:
    apart = set(contract("apart")["modules"])
    assert apart == {"gateway", "training", "services.worker", *(c.module for c in CAPABILITIES)}


@pytest.mark.parametrize("module", ["gateway.main", "services.worker.__main__", "interplay.cli.root"])
def test_no_model_library_is_loaded(module: str) -> None:
    program = f"import sys, {module}; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_the_command_line_starts_without_grpc() -> None:
    program = (
        "import sys; from interplay.cli.root import COMMANDS; import importlib\n"
        "for module in ('up', 'down', 'doctor', 'models', 'keys', 'version'):\n"
        "    importlib.import_module('interplay.cli.' + module)\n"
        "print([m for m in ('grpc', 'celery', 'sqlalchemy', 'numpy', 'fastapi') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY_ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
