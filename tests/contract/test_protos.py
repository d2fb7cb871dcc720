"""Every capability has its contract, and the stubs in the tree are those of the protos."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from interplay.capabilities import CAPABILITIES, Capability
from tests.conftest import REPOSITORY_ROOT

PROTOS = REPOSITORY_ROOT / "protos"
BUF = Path(sys.executable).with_name("buf")


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_the_service_of_the_table_exists(capability: Capability) -> None:
    stubs = importlib.import_module(f"interplay.rpc.{capability.name}.v1.{capability.name}_pb2")
    names = [service.full_name for service in stubs.DESCRIPTOR.services_by_name.values()]
    assert names == [capability.grpc_service]
    assert (PROTOS / "interplay" / capability.name / "v1" / f"{capability.name}.proto").is_file()


def test_no_two_capabilities_share_a_name_or_port() -> None:
    assert len({c.name for c in CAPABILITIES}) == len(CAPABILITIES)
    ports = [port for c in CAPABILITIES for port in (c.grpc_port, c.metrics_port)]
    assert len(set(ports)) == len(ports)


def test_stubs_are_up_to_date() -> None:
    done = subprocess.run(
        [sys.executable, PROTOS / "generate.py", "--check"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY_ROOT,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [("lint",), ("breaking", "--against", "baseline.binpb")])
def test_buf_has_no_complaint(arguments: tuple[str, ...]) -> None:
    done = subprocess.run([BUF, *arguments], cwd=PROTOS, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_breaking_change_is_found(tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "protos"
    shutil.copytree(PROTOS, copy)
    proto = copy / "interplay" / "common" / "v1" / "common.proto"
    changed = (
        proto.read_text().replace("double x = 1;", "double x = 9;").replace("float x = 1;", "float x = 9;")
    )
    assert changed != proto.read_text(), "the test changes a field that is there"
    proto.write_text(changed)
    done = subprocess.run(
        [BUF, "breaking", "--against", "baseline.binpb"], cwd=copy, capture_output=True, text=True
    )
    assert done.returncode != 0 and "common.proto" in done.stdout
