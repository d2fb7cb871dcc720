"""docker-compose.yml agrees with the capability table, and keeps its house rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from interplay import __version__
from interplay.capabilities import CAPABILITIES, GATEWAY_PORT
from interplay.settings import ProcessSettings, StateSettings
from tests.conftest import REPOSITORY_ROOT

COMPOSE: dict[str, Any] = yaml.safe_load((REPOSITORY_ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name in SERVICES if name != "valkey"]


def test_one_service_a_capability_beside_gateway_worker_and_valkey() -> None:
    assert set(SERVICES) == {c.slug for c in CAPABILITIES} | {"gateway", "worker", "valkey"}
    for capability in CAPABILITIES:
        build = SERVICES[capability.slug]["build"]
        assert build["target"] == "model-server"
        assert build["args"] == {"CAPABILITY": capability.name}
        assert SERVICES[capability.slug]["healthcheck"]["test"][-2:] == ["grpc", capability.name]


@pytest.mark.parametrize("client", ["gateway", "worker"])
def test_clients_know_every_server_and_wait_for_it(client: str) -> None:
    addresses = json.loads(SERVICES[client]["environment"]["INTERPLAY_CAPABILITY_ADDRESSES"])
    assert addresses == {c.name: f"dns:///{c.slug}:{c.grpc_port}" for c in CAPABILITIES}
    waited_for = SERVICES[client]["depends_on"]
    assert set(waited_for) == {"valkey", *(c.slug for c in CAPABILITIES)}
    assert all(on["condition"] == "service_healthy" for on in waited_for.values())


def test_images_carry_the_version() -> None:
    for name in OURS:
        assert SERVICES[name]["image"] == f"interplay-{name}:{__version__}"
    assert all(":" in service["image"] and "latest" not in service["image"] for service in SERVICES.values())


def test_only_the_gateway_is_reachable_and_it_wants_keys() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["gateway"]
    assert SERVICES["gateway"]["ports"] == [f"${{INTERPLAY_PORT:-{GATEWAY_PORT}}}:{GATEWAY_PORT}"]
    assert SERVICES["gateway"]["environment"]["INTERPLAY_API_KEYS_FILE"] == "/run/secrets/api_keys"
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert all(s["networks"] == ["inside"] for name, s in SERVICES.items() if name != "gateway")


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_hardened_checked_and_given_time(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and service["init"] is True
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert int(service["stop_grace_period"].removesuffix("s")) >= 15


def test_secrets_come_from_outside() -> None:
    text = (REPOSITORY_ROOT / "docker-compose.yml").read_text()
    assert SERVICES["valkey"]["environment"]["VALKEY_PASSWORD"].startswith("${VALKEY_PASSWORD:?")
    assert "redis://:${VALKEY_PASSWORD:?" in text
    assert "--maxmemory-policy noeviction" in SERVICES["valkey"]["command"][-1]


def test_every_variable_is_one_that_the_process_reads() -> None:
    from gateway.settings import GatewaySettings
    from services.worker.settings import WorkerSettings

    known = {"gateway": GatewaySettings, "worker": WorkerSettings}
    for name in OURS:
        settings: type[ProcessSettings] = known.get(name, StateSettings)
        for variable in SERVICES[name].get("environment", {}):
            assert variable.removeprefix("INTERPLAY_").lower() in settings.model_fields, (name, variable)
