"""Configuration: from the environment, and one clear line for every bad value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from interplay import settings as module
from interplay.serving.settings import ModelServerSettings
from interplay.settings import (
    MAX_IMAGE_BYTES,
    MAX_MESSAGE_BYTES,
    ProcessSettings,
    StateSettings,
    available_cores,
    load_settings,
)


def set_environment(monkeypatch: pytest.MonkeyPatch, **values: str) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"INTERPLAY_{name.upper()}", value)


def test_defaults_need_no_environment() -> None:
    settings = load_settings(StateSettings)
    assert settings.log_level == "INFO"
    assert settings.otlp_endpoint is None
    assert settings.dataset_roots == ()
    assert settings.metrics_host == "127.0.0.1"
    assert settings.state_dir == Path.home() / ".local/share/interplay"


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(
        monkeypatch,
        log_level="DEBUG",
        redis_url="redis://valkey:6379/1",
        capability_addresses='{"text_detection": "dns:///text-detection:50051"}',
        unknown_variable="is no error",
    )
    settings = load_settings(StateSettings)
    assert settings.log_level == "DEBUG"
    assert settings.redis_url == "redis://valkey:6379/1"
    assert settings.capability_addresses == {"text_detection": "dns:///text-detection:50051"}


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", ()),
        ("/data", ("/data",)),
        (" /data , s3://bucket/sets ,,", ("/data", "s3://bucket/sets")),
    ],
)
def test_dataset_roots_are_separated_by_commas(
    monkeypatch: pytest.MonkeyPatch, text: str, expected: tuple[str, ...]
) -> None:
    set_environment(monkeypatch, dataset_roots=text)
    assert load_settings(StateSettings).dataset_roots == expected
    assert load_settings(StateSettings, dataset_roots=("/a", "/b")).dataset_roots == ("/a", "/b")


def test_state_directory_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    set_environment(monkeypatch, state_dir="here")
    settings = load_settings(StateSettings)
    assert settings.state_dir == tmp_path / "here"
    assert settings.effective_database_url == f"sqlite:///{tmp_path}/here/jobs.sqlite3"
    set_environment(monkeypatch, database_url="postgresql+psycopg://db/interplay")
    assert load_settings(StateSettings).effective_database_url == "postgresql+psycopg://db/interplay"


BAD = [
    ({"log_level": "LOUD"}, ["INTERPLAY_LOG_LEVEL"]),
    ({"log_level": "LOUD", "log_format": "xml"}, ["INTERPLAY_LOG_LEVEL", "INTERPLAY_LOG_FORMAT"]),
    ({"capability_addresses": '{"text_detection": 1}'}, ["INTERPLAY_CAPABILITY_ADDRESSES__TEXT_DETECTION"]),
    ({"capability_addresses": "localhost:50051"}, ["capability_addresses"]),
    ({"capability_addresses": "[]"}, ["INTERPLAY_CAPABILITY_ADDRESSES"]),
]


@pytest.mark.parametrize("values, named", BAD)
def test_bad_configuration_ends_the_process_with_one_line_each(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    values: dict[str, str],
    named: list[str],
) -> None:
    set_environment(monkeypatch, **values)
    with pytest.raises(SystemExit) as caught:
        load_settings(StateSettings)
    lines = capsys.readouterr().err.splitlines()
    assert caught.value.code == 2
    assert len(lines) == len(named)
    for line, name in zip(lines, named, strict=True):
        assert line.startswith("bad configuration: ")
        assert name in line


@pytest.mark.parametrize(
    "values",
    [
        {"port": "70000"},
        {"port": "-1"},
        {"max_batch_items": "0"},
        {"max_deadline_s": "0"},
        {"max_image_bytes": str(MAX_IMAGE_BYTES + 1)},
        {"device": "gpu"},
        {"runtime": "triton"},
        {"threads": "0"},
    ],
)
def test_model_server_limits(monkeypatch: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    set_environment(monkeypatch, **{"port": "0", "metrics_port": "0", **values})
    with pytest.raises(SystemExit):
        load_settings(ModelServerSettings)


def test_model_server_limits_reach_decoder_and_batcher() -> None:
    settings = ModelServerSettings(
        port=0, metrics_port=0, max_image_bytes=5, max_image_pixels=6, max_inflight=7, max_delay_ms=8
    )
    assert (settings.image_limits.max_bytes, settings.image_limits.max_pixels) == (5, 6)
    assert (settings.batch_limits.max_inflight, settings.batch_limits.max_delay_s) == (7, 0.008)


def test_an_image_fits_into_a_message() -> None:
    # Base64 and multipart never cross gRPC, so a little room for the other fields is enough.
    assert MAX_IMAGE_BYTES + 1024 * 1024 < MAX_MESSAGE_BYTES


@pytest.mark.parametrize(
    "cpu_max, affinity, expected",
    [
        ("max 100000", 4, 4),
        ("200000 100000", 8, 2),
        ("150000 100000", 8, 1),
        ("50000 100000", 8, 1),
        ("800000 100000", 2, 2),
        ("nonsense", 3, 3),
        (None, 3, 3),
    ],
)
def test_cores_are_those_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch, cpu_max: str | None, affinity: int, expected: int
) -> None:
    def read_text(self: Path) -> str:
        assert str(self) == "/sys/fs/cgroup/cpu.max"
        if cpu_max is None:
            raise FileNotFoundError
        return cpu_max

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(affinity)), raising=False)
    monkeypatch.setattr(module.Path, "read_text", read_text)
    assert available_cores() == expected


def test_importing_reads_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ProcessSettings()
    set_environment(monkeypatch, log_level="ERROR")
    assert settings.log_level == "INFO"
    assert ProcessSettings().log_level == "ERROR"
