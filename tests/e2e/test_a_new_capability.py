"""A seventh, made-up capability: one row of the table and one folder, in a copy of the project.

The launcher starts it, the generators put it into Compose, Kubernetes and Prometheus, and the checks that
hold for all capabilities hold for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from interplay.launcher.ports import free_port
from tests.conftest import REPOSITORY_ROOT, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(580)]

MADE_UP = REPOSITORY_ROOT / "tests" / "made_up_capability"
ROW = """    Capability(
        name="scene_mood",
        grpc_service="interplay.scene_mood.v1.SceneMoodService",
        grpc_port=50071,
        metrics_port=9171,
        models=(),
        summary="What mood a scene is in",
        thesis="none",
        calls=("text_detection",),
    ),
)

GATEWAY_PORT"""
COPIED = (
    "interplay",
    "gateway",
    "services",
    "protos",
    "deploy",
    "k8s",
    "tests/contract",
    "docs/operations.md",
)
FILES = ("docker-compose.yml", "Dockerfile", "pyproject.toml", "tests/*.py")
CHECKS = [
    f"tests/contract/test_{name}.py"
    for name in ("compose", "kubernetes", "kubernetes_overlays", "monitoring")
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what matters of the project, with the row and the folder added, and its stubs made."""
    copy = tmp_path_factory.mktemp("project")
    for name in [
        *COPIED,
        *(str(f.relative_to(REPOSITORY_ROOT)) for g in FILES for f in REPOSITORY_ROOT.glob(g)),
    ]:
        source, target = REPOSITORY_ROOT / name, copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    (copy / "model_store").symlink_to(REPOSITORY_ROOT / "model_store")
    table = copy / "interplay" / "capabilities.py"
    before = table.read_text()
    table.write_text(before.replace(")\n\nGATEWAY_PORT", ROW))
    assert table.read_text() != before
    folder = copy / "services" / "scene_mood"
    folder.mkdir()
    shutil.copy(MADE_UP / "__main__.py", folder)
    (folder / "__init__.py").touch()
    protos = copy / "protos/interplay/scene_mood/v1"
    protos.mkdir(parents=True)
    shutil.copy(MADE_UP / "scene_mood.proto", protos)
    assert run(copy, "protos/generate.py").returncode == 0
    return copy


def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}


def run(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """``python …`` in the copy."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_the_launcher_runs_it(project: Path, tmp_path: Path) -> None:
    port = free_port()
    log = tmp_path / "up.log"
    options = ["--only", "scene_mood", "--port", str(port), "--data-dir", str(tmp_path / "state")]
    with log.open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "interplay.cli", "up", *options],
            cwd=project,
            env=environment(project),
            stdout=out,
            stderr=out,
        )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until(
            lambda: f"ready {url}\n" in log.read_text() or up.poll() is not None,
            timeout_s=200,
            what="interplay up is ready",
        )
        assert up.poll() is None, log.read_text()
        parts = httpx.get(f"{url}/readyz", trust_env=False, timeout=20).json()["parts"]
        assert parts["scene_mood"] == {"state": "serving"}
        call = (
            "from interplay.capabilities import get_capability as get; import sys;"
            "from interplay.rpc.clients import SyncModelServerClient as Client;"
            "from interplay.rpc.scene_mood.v1 import scene_mood_pb2 as pb;"
            "client = Client(get('scene_mood'), sys.argv[1]);"
            "print(client.call(client.stub.Judge, pb.JudgeRequest(brightness=0.9)).mood)"
        )
        done = run(project, "-c", call, target_of(tmp_path / "state"))
        assert done.stdout == "merry\n", done.stderr
    finally:
        up.terminate()
        up.wait(60)


def target_of(state: Path) -> str:
    """Where its server listens, as the launcher told it."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if "services.scene_mood" not in (folder / "cmdline").read_text():
                continue
            values = dict(v.partition("=")[::2] for v in (folder / "environ").read_text().split("\0"))
        except OSError:
            continue
        if values.get("INTERPLAY_STATE_DIR") == str(state):
            return f"{values['INTERPLAY_HOST']}:{values['INTERPLAY_PORT']}"
    raise AssertionError("no process runs services.scene_mood")


def test_checks_name_what_is_missing_and_one_command_adds_it(project: Path) -> None:
    missing = run(project, "-m", "deploy.generate", "--check")
    assert missing.returncode == 1
    for file in (
        "docker-compose.yml",
        "deploy/prometheus.yml",
        "k8s/base/servers/scene-mood.yaml",
        "k8s/base/servers/addresses.yaml",
        "k8s/components/network-policies/servers.yaml",
        "k8s/components/autoscaling/servers.yaml",
    ):
        assert f"old: {file};" in missing.stdout, missing.stdout
    pytest_options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-x")
    failing = run(project, *pytest_options, *CHECKS, "-k", "every_row or profiles_hold")
    assert failing.returncode == 1 and "scene-mood" in failing.stdout

    assert run(project, "-m", "deploy.generate").returncode == 0
    assert run(project, "-m", "deploy.generate", "--check").returncode == 0
    passing = run(project, *pytest_options, *CHECKS)
    assert passing.returncode == 0, passing.stdout[-3000:]
    assert "scene_mood" in (project / "docker-compose.yml").read_text()
