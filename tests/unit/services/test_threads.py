"""How the threads of an inference wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from interplay.capabilities import CAPABILITIES
from tests.conftest import REPOSITORY_ROOT

CODE = """
import importlib, os, sys
importlib.import_module(sys.argv[1])
print("torch" in sys.modules, os.environ["OMP_WAIT_POLICY"])
"""


@pytest.mark.parametrize("given", [None, "ACTIVE"])
@pytest.mark.parametrize("module", [capability.module for capability in CAPABILITIES])
def test_it_is_set_before_torch_is_loaded_unless_it_is_given(module: str, given: str | None) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given:
        environment["OMP_WAIT_POLICY"] = given
    done = subprocess.run(
        [sys.executable, "-c", CODE, module],
        cwd=REPOSITORY_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", given or "PASSIVE"]
