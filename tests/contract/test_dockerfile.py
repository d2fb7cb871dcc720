"""The Dockerfile's targets hold their role's packages and code, and run as nobody special."""

from __future__ import annotations

import re

import pytest

from tests.conftest import REPOSITORY_ROOT

DOCKERFILE = (REPOSITORY_ROOT / "Dockerfile").read_text()
STAGES = {
    name: body
    for _, name, body in re.findall(
        r"^FROM (\S+) AS (\S+)\n(.*?)(?=^FROM |\Z)", DOCKERFILE, re.MULTILINE | re.DOTALL
    )
}
ROLES = {
    "gateway": "gateway",
    "worker": "worker",
    "model-server": "serving",
    "torchserve": "serving,torchserve",
}


@pytest.mark.parametrize("target", ROLES)
def test_targets_run_as_user_1000_with_a_health_check(target: str) -> None:
    stage = STAGES[target]
    assert "USER 1000:1000" in stage
    assert "HEALTHCHECK" in stage and "ENTRYPOINT" in stage
    assert stage.index("USER") < stage.index("ENTRYPOINT")


@pytest.mark.parametrize(("target", "extra"), ROLES.items())
def test_targets_install_their_extra_under_the_lock(target: str, extra: str) -> None:
    source = re.search(r"COPY --from=(\S+) /venv", STAGES[target])
    assert source is not None
    assert f"--constraint constraints.txt '.[{extra}]'" in STAGES[source[1]]


def test_targets_copy_only_their_own_code() -> None:
    assert "services" not in STAGES["gateway"] and "model_store" not in STAGES["gateway"]
    assert "gateway" not in STAGES["worker"].replace("gateway-packages", "")
    assert "COPY services/${CAPABILITY} services/${CAPABILITY}" in STAGES["model-server"]
    assert "training" not in DOCKERFILE


def test_base_images_are_pinned() -> None:
    images = {
        image for image in re.findall(r"^FROM (\S+) AS", DOCKERFILE, re.MULTILINE) if image not in STAGES
    }
    assert images and all(re.search(r":\d+\.\d+", image) for image in images)


def test_everything_copied_is_let_through_by_dockerignore() -> None:
    allowed = {
        line[1:]
        for line in (REPOSITORY_ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    copied = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    sources = {source.split("/")[0] for line in copied for source in line.split()[:-1]}
    assert sources == allowed
