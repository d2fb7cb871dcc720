"""Configuration of the gateway: defaults, and what stops the start."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gateway.settings import GatewaySettings
from interplay.api_keys import create_api_key
from interplay.settings import load_settings


def test_defaults_need_no_configuration() -> None:
    settings = GatewaySettings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.capability_addresses == {
        "text_detection": "127.0.0.1:50051",
        "style_transfer": "127.0.0.1:50052",
        "embedding": "127.0.0.1:50053",
        "locsens": "127.0.0.1:50054",
        "hate_classifier": "127.0.0.1:50055",
    }
    assert settings.effective_rate_limit == 0
    assert settings.url_allowlist == ()


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERPLAY_PORT", "9000")
    monkeypatch.setenv("INTERPLAY_URL_ALLOWLIST", "img.example.com, *.example.org:8443")
    monkeypatch.setenv("INTERPLAY_CAPABILITY_ADDRESSES", json.dumps({"text_detection": "dns:///text:50051"}))
    settings = GatewaySettings()
    assert settings.port == 9000
    assert settings.url_allowlist == ("img.example.com", "*.example.org:8443")
    assert settings.capability_addresses == {"text_detection": "dns:///text:50051"}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "99999", "INTERPLAY_PORT: "),
        ("PORT", "http", "INTERPLAY_PORT: "),
        ("HOST", "0.0.0.0", "INTERPLAY_API_KEYS_FILE: INTERPLAY_HOST is 0.0.0.0"),
        ("HOST", "192.168.1.5", "reachable from other machines"),
        ("HOST", "example.com", "INTERPLAY_API_KEYS_FILE"),
        ("URL_ALLOWLIST", "ftp://example.com", "INTERPLAY_URL_ALLOWLIST: "),
        ("URL_ALLOWLIST", "https://", "INTERPLAY_URL_ALLOWLIST: "),
        ("CAPABILITY_ADDRESSES", '{"no_such": "a:1"}', "unknown capability 'no_such'"),
        (
            "API_KEYS_FILE",
            "/nonexistent/keys.json",
            "INTERPLAY_API_KEYS_FILE: cannot read /nonexistent/keys.json",
        ),
        ("MAX_IMAGE_BYTES", str(10**12), "INTERPLAY_MAX_IMAGE_BYTES: "),
        ("REQUEST_TIMEOUT_S", "0", "INTERPLAY_REQUEST_TIMEOUT_S: "),
        ("RATE_LIMIT", "-1", "INTERPLAY_RATE_LIMIT: "),
        ("LOG_LEVEL", "LOUD", "INTERPLAY_LOG_LEVEL: "),
    ],
)
def test_bad_configuration_ends_with_one_clear_line(
    name: str, value: str, expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"INTERPLAY_{name}", value)
    with pytest.raises(SystemExit) as exit_:
        load_settings(GatewaySettings)
    assert exit_.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("bad configuration: ")
    assert expected in lines[0]


def test_beyond_loopback_needs_at_least_one_key(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text("[]")
    with pytest.raises(ValueError, match="at least one key"):
        GatewaySettings(host="0.0.0.0", api_keys_file=keys)
    create_api_key(keys, "alice", ["infer"])
    settings = GatewaySettings(host="0.0.0.0", api_keys_file=keys)
    assert settings.effective_rate_limit == 100


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "localhost", "::1"])
def test_loopback_needs_no_key(host: str) -> None:
    assert GatewaySettings(host=host).host == host
