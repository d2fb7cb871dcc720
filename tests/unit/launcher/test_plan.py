"""The plan agrees with the capability table and with the settings of the parts."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import pytest

from interplay.capabilities import CAPABILITIES
from interplay.errors import NotFound
from interplay.launcher.plan import make_plan
from interplay.launcher.settings import LauncherSettings, browsable_host
from interplay.launcher.supervisor import Part

PORT = 8123


def plan_parts(state_dir: Path, **settings: object) -> dict[str, Part]:
    """Parts by name."""
    fields = {"state_dir": state_dir, "port": PORT, **settings}
    return {part.name: part for part in make_plan(LauncherSettings(**fields)).parts}  # type: ignore[arg-type]


def test_every_capability_has_its_process_beside_worker_gateway_and_valkey(tmp_path: Path) -> None:
    parts = plan_parts(tmp_path)
    assert list(parts) == ["valkey", *(c.name for c in CAPABILITIES), "worker", "gateway"]
    for capability in CAPABILITIES:
        assert parts[capability.name].command == (sys.executable, "-P", "-m", capability.module)
    assert parts["gateway"].environment["INTERPLAY_PORT"] == str(PORT)


def test_gateway_and_worker_find_every_server_where_it_listens(tmp_path: Path) -> None:
    parts = plan_parts(tmp_path)
    listening = {
        c.name: f"{parts[c.name].environment['INTERPLAY_HOST']}:{parts[c.name].environment['INTERPLAY_PORT']}"
        for c in CAPABILITIES
    }
    for client in ("gateway", "worker"):
        assert json.loads(parts[client].environment["INTERPLAY_CAPABILITY_ADDRESSES"]) == listening


def test_no_two_parts_share_a_port(tmp_path: Path) -> None:
    ports = [
        value
        for part in plan_parts(tmp_path).values()
        for name, value in part.environment.items()
        if name in ("INTERPLAY_PORT", "INTERPLAY_METRICS_PORT")
    ]
    assert len(ports) == len(set(ports)) == 2 * len(CAPABILITIES) + 3


def test_clients_stop_before_what_they_call(tmp_path: Path) -> None:
    parts = plan_parts(tmp_path)
    ranks = [parts[name].stop_rank for name in ("gateway", "worker", CAPABILITIES[0].name, "valkey")]
    assert ranks == sorted(set(ranks))


def test_embedded_valkey_is_secret_and_never_evicts(tmp_path: Path) -> None:
    parts = plan_parts(tmp_path)
    config = tmp_path / "valkey" / "valkey.conf"
    assert stat.S_IMODE(config.stat().st_mode) == 0o600
    text = config.read_text()
    password = next(line.split()[1] for line in text.splitlines() if line.startswith("requirepass"))
    assert len(password) >= 32
    assert (
        "bind 127.0.0.1\n" in text and "maxmemory-policy noeviction\n" in text and "appendonly yes\n" in text
    )
    for client in ("gateway", "worker"):
        assert parts[client].environment["INTERPLAY_REDIS_URL"].startswith(f"redis://:{password}@127.0.0.1:")
        assert parts[client].needs == ("valkey",)
    assert all(password not in " ".join(part.command) for part in parts.values()), "visible in ps"


def test_a_given_valkey_is_used_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERPLAY_REDIS_URL", "redis://elsewhere:6379/3")
    parts = plan_parts(tmp_path)
    assert "valkey" not in parts
    assert parts["worker"].environment["INTERPLAY_REDIS_URL"] == "redis://elsewhere:6379/3"
    assert parts["worker"].needs == ()


def test_state_roots_and_device_reach_the_parts(tmp_path: Path) -> None:
    parts = plan_parts(tmp_path, dataset_roots=f"{tmp_path}, s3://bucket/x", device="cpu", log_level="DEBUG")
    for name in ("gateway", "worker"):
        environment = parts[name].environment
        assert environment["INTERPLAY_STATE_DIR"] == str(tmp_path)
        assert environment["INTERPLAY_DATASET_ROOTS"] == f"{tmp_path},s3://bucket/x"
    assert parts[CAPABILITIES[0].name].environment["INTERPLAY_DEVICE"] == "cpu"
    assert parts[CAPABILITIES[0].name].environment["INTERPLAY_LOG_LEVEL"] == "DEBUG"


def test_only_starts_what_is_named_and_refuses_what_is_unknown(tmp_path: Path) -> None:
    settings = LauncherSettings(state_dir=tmp_path, only=("text-detection",))
    assert [capability.name for capability in settings.capabilities] == ["text_detection"]
    with pytest.raises(NotFound, match="known: text_detection"):
        make_plan(LauncherSettings(state_dir=tmp_path, only=("speech",)))


def test_relative_roots_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = LauncherSettings(state_dir=tmp_path, dataset_roots="photos,memory://set")  # type: ignore[arg-type]
    assert settings.dataset_roots == (str(tmp_path / "photos"), "memory://set")


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1"),
        ("::", "[::1]"),
        ("::1", "[::1]"),
        ("host", "host"),
    ],
)
def test_the_address_to_connect_to(host: str, shown: str) -> None:
    assert browsable_host(host) == shown
