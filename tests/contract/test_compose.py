"""docker-compose.yml agrees with the capability table, and keeps its house rules, in every profile."""

from __future__ import annotations

import json
import re
from typing import Any

import compose_spec
import pytest
import yaml

from deploy.kubernetes import QDRANT_METRICS_PORT
from gateway.settings import GatewaySettings
from interplay import __version__
from interplay.capabilities import CAPABILITIES, GATEWAY_PORT
from interplay.jobs.dispatch import SOFT_SHUTDOWN_S
from interplay.jobs.schema import Database
from interplay.launcher.torchserve.settings import KEY_FILE, TorchServeProcessSettings
from interplay.serving.settings import ModelServerSettings
from tests.compose import interpolate, render
from tests.conftest import REPOSITORY_ROOT
from tests.postgres import empty_database
from tests.postgres import postgres_url as postgres_url
from tests.variables import is_read

FILE = REPOSITORY_ROOT / "docker-compose.yml"
LOOPBACK = REPOSITORY_ROOT / "deploy" / "compose.loopback.yml"
SECRETS = {
    name: f"secret-{name.lower()}"
    for name in ("VALKEY_PASSWORD", "POSTGRES_PASSWORD", "QDRANT_API_KEY", "GRAFANA_PASSWORD")
}
SLUGS = {c.slug for c in CAPABILITIES}
STORES = {"valkey", "postgres", "qdrant"}
PROFILES = {
    "cpu": {"gateway", "worker", *STORES, *SLUGS},
    "gpu": {"gateway", "worker", *STORES, *(f"{s}-gpu" for s in SLUGS), "dcgm-exporter"},
    "observability": {"prometheus", "grafana"},
    "alerts": {"alertmanager"},
    "flower": {"flower", "valkey"},
    "torchserve": {"torchserve"},
}
TEXT = FILE.read_text()
COMPOSE: dict[str, Any] = render([FILE], SECRETS)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = ["gateway", "worker", *SLUGS, *(f"{s}-gpu" for s in SLUGS)]


@pytest.mark.parametrize("profile", PROFILES)
def test_profiles_hold_what_they_should(profile: str) -> None:
    project = render([FILE], SECRETS, {profile})
    found = set(project["services"])
    assert found == PROFILES[profile], "run: make deploy"
    for name, service in project["services"].items():
        assert set(service["depends_on"]) <= found, name


def test_every_service_is_in_a_profile() -> None:
    assert set(SERVICES) == set.union(*PROFILES.values())
    assert all(service["profiles"] for service in SERVICES.values())


@pytest.mark.parametrize(
    "profiles",
    [{"cpu"}, {"gpu"}, {"cpu", "observability", "alerts", "flower"}, {"gpu", "torchserve"}],
    ids=lambda profiles: "-".join(sorted(profiles)),
)
def test_the_specification_takes_it(profiles: set[str]) -> None:
    for files in ([FILE], [FILE, LOOPBACK]):
        project = compose_spec.PyCompose.from_yaml(yaml.safe_dump(render(files, SECRETS, profiles)))
        project.validate()
        assert project.to_spec().services


@pytest.mark.parametrize(
    "change",
    [
        {"healthcheck": {"test": ["CMD", "true"], "interval": "ten"}},
        {"networks": ["nowhere"]},
        {"ports": ["a:b"]},
    ],
)
def test_the_specification_refuses_what_is_wrong(change: dict[str, Any]) -> None:
    project = render([FILE], SECRETS, {"cpu"})
    project["services"]["gateway"] |= change
    with pytest.raises(ValueError):
        compose_spec.PyCompose.from_yaml(yaml.safe_dump(project)).validate()


@pytest.mark.parametrize("suffix", ["", "-gpu"])
def test_one_service_a_capability(suffix: str) -> None:
    for capability in CAPABILITIES:
        service = SERVICES[capability.slug + suffix]
        assert service["build"]["target"] == "model-server"
        assert service["build"]["args"] == {"CAPABILITY": capability.name}
        assert service["healthcheck"]["test"][-2:] == ["grpc", capability.name]
        # The name that clients know is that of either variant.
        assert service["networks"] == {"inside": {"aliases": [capability.slug]}}
        devices = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        assert [d["capabilities"] for d in devices] == ([["gpu"]] if suffix else [])
        called = json.loads(service["environment"].get("INTERPLAY_CAPABILITY_ADDRESSES", "{}"))
        assert set(called) == set(capability.calls)
        assert ("INTERPLAY_QDRANT_URL" in service["environment"]) == capability.indexes


@pytest.mark.parametrize("client", ["gateway", "worker"])
@pytest.mark.parametrize(("profile", "suffix"), [("cpu", ""), ("gpu", "-gpu")])
def test_clients_know_every_server_and_wait_for_it(client: str, profile: str, suffix: str) -> None:
    service = render([FILE], SECRETS, {profile})["services"][client]
    addresses = json.loads(service["environment"]["INTERPLAY_CAPABILITY_ADDRESSES"])
    assert addresses == {c.name: f"dns:///{c.slug}:{c.grpc_port}" for c in CAPABILITIES}
    waited_for = service["depends_on"]
    assert set(waited_for) == {"valkey", "postgres", *(s + suffix for s in SLUGS)}
    assert all(on["condition"] == "service_healthy" for on in waited_for.values())


def test_images_carry_a_version() -> None:
    for name in OURS:
        assert SERVICES[name]["image"] == f"interplay-{name.removesuffix('-gpu')}:{__version__}"
    assert all(":" in service["image"] and "latest" not in service["image"] for service in SERVICES.values())


def test_only_the_gateway_is_reachable_and_it_wants_keys() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["gateway"]
    assert SERVICES["gateway"]["ports"] == [f"{GATEWAY_PORT}:{GATEWAY_PORT}"]
    assert SERVICES["gateway"]["environment"]["INTERPLAY_API_KEYS_FILE"] == "/run/secrets/api_keys"
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    # Alerts go out to mail or chat; nothing else may.
    out = {name for name, service in SERVICES.items() if set(service["networks"]) != {"inside"}}
    assert out == {"gateway", "alertmanager"}


def test_the_loopback_file_opens_the_consoles_to_this_host_alone() -> None:
    opened = render([FILE, LOOPBACK], SECRETS)["services"]
    published = {n: s["ports"] for n, s in opened.items() if "ports" in s and n != "gateway"}
    assert set(published) == {"grafana", "prometheus", "alertmanager", "flower"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"dcgm-exporter"}))
def test_containers_are_hardened_checked_and_given_time(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"] and service["init"] is True
    assert service["security_opt"] == ["no-new-privileges:true"] and "/tmp" in service["tmpfs"]
    assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    assert int(service["stop_grace_period"].removesuffix("s")) >= 15


def test_secrets_come_from_outside() -> None:
    for name in SECRETS:
        with pytest.raises(ValueError, match=f"{name} is not set: see the head"):
            interpolate(TEXT, {key: value for key, value in SECRETS.items() if key != name})
    assert SERVICES["valkey"]["environment"]["VALKEY_PASSWORD"] == SECRETS["VALKEY_PASSWORD"]
    assert "--maxmemory-policy noeviction" in SERVICES["valkey"]["command"][-1]
    assert "--appendonly yes" in SERVICES["valkey"]["command"][-1]


def test_qdrant_tells_its_metrics_where_prometheus_asks_and_nowhere_else() -> None:
    environment = SERVICES["qdrant"]["environment"]
    assert environment["QDRANT__SERVICE__METRICS_PORT"] == str(QDRANT_METRICS_PORT)
    assert environment["QDRANT__SERVICE__API_KEY"] == SECRETS["QDRANT_API_KEY"]
    assert "ports" not in SERVICES["qdrant"], "metrics need no key"


def test_prometheus_finds_the_alertmanager_of_the_profile_alerts() -> None:
    settings = yaml.safe_load((REPOSITORY_ROOT / "deploy" / "prometheus.yml").read_text())
    (manager,) = settings["alerting"]["alertmanagers"]
    assert manager["dns_sd_configs"] == [{"names": ["alertmanager"], "type": "A", "port": 9093}]
    assert "9093" in SERVICES["alertmanager"]["healthcheck"]["test"][-1]
    secret = COMPOSE["secrets"]["alertmanager"]
    assert secret == {"file": "./alertmanager.yml"} and SERVICES["alertmanager"]["secrets"] == [
        "alertmanager"
    ]


def test_the_operations_guide_says_what_the_files_take() -> None:
    guide = (REPOSITORY_ROOT / "docs/operations.md").read_text()
    (example,) = re.findall(r"```yaml\n(services:\n.*?)```", guide, re.DOTALL)
    for name, changes in yaml.safe_load(example)["services"].items():
        assert name in SERVICES
        assert all(is_read(variable, name) for variable in changes["environment"]), name
    (manager,) = re.findall(r"```yaml\n# alertmanager.yml\n(.*?)```", guide, re.DOTALL)
    routes = yaml.safe_load(manager)
    receivers = {receiver["name"] for receiver in routes["receivers"]}
    assert {routes["route"]["receiver"], *(r["receiver"] for r in routes["route"]["routes"])} <= receivers
    assert all(name in guide for name in SECRETS)


def test_what_must_last_is_on_volumes() -> None:
    kept = {
        "valkey": "/data",
        "postgres": "/var/lib/postgresql/data",
        "qdrant": "/qdrant/storage",
        "prometheus": "/prometheus",
        "grafana": "/var/lib/grafana",
        "alertmanager": "/alertmanager",
    }
    for name, folder in kept.items():
        assert f"{name}:{folder}" in SERVICES[name]["volumes"]
        assert name in COMPOSE["volumes"]


def test_files_that_are_mounted_exist() -> None:
    mounted = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./")
    }
    assert mounted and all((REPOSITORY_ROOT / path).exists() for path in mounted)


def test_the_job_table_takes_the_url_of_postgres(postgres_url: str) -> None:
    url = SERVICES["gateway"]["environment"]["INTERPLAY_DATABASE_URL"]
    assert url == f"postgresql://interplay:{SECRETS['POSTGRES_PASSWORD']}@postgres:5432/interplay"
    environment = SERVICES["postgres"]["environment"]
    assert (environment["POSTGRES_USER"], environment["POSTGRES_DB"]) == ("interplay", "interplay")
    server = empty_database(postgres_url).rpartition("@")[2].removesuffix("/postgres")
    here = url.replace("postgres:5432/interplay", f"{server}/postgres")
    Database(here).close()  # makes the tables


@pytest.mark.parametrize("name", OURS)
def test_every_variable_is_one_that_the_process_reads(name: str) -> None:
    for variable in SERVICES[name].get("environment", {}):
        assert is_read(variable, name.removesuffix("-gpu")), variable


def test_every_variable_of_torchserve_is_one_that_it_reads() -> None:
    fields = TorchServeProcessSettings.model_fields
    for variable in SERVICES["torchserve"]["environment"]:
        assert variable.removeprefix("INTERPLAY_").lower() in fields, variable


def test_containers_are_killed_after_their_drains_and_no_sooner() -> None:
    def seconds(name: str) -> float:
        return float(SERVICES[name]["stop_grace_period"].removesuffix("s"))

    gateway, servers = GatewaySettings.model_fields, ModelServerSettings.model_fields
    grace = float(SERVICES["gateway"]["environment"]["INTERPLAY_SHUTDOWN_GRACE_S"])
    assert seconds("gateway") > grace > gateway["request_timeout_s"].default
    assert seconds("worker") > SOFT_SHUTDOWN_S
    for capability in CAPABILITIES:
        grace = float(SERVICES[capability.slug]["environment"]["INTERPLAY_DRAIN_GRACE_S"])
        assert grace >= servers["max_deadline_s"].default
        assert seconds(capability.slug) > servers["drain_delay_s"].default + grace


def test_torchserve_leaves_its_token_where_the_model_servers_read_it() -> None:
    torchserve = SERVICES["torchserve"]
    assert torchserve["volumes"] == ["torchserve:/torchserve"]
    for capability in CAPABILITIES:
        server = SERVICES[capability.slug]
        assert "torchserve:/torchserve:ro" in server["volumes"]
        environment = server["environment"]
        folder = torchserve["environment"]["INTERPLAY_TORCHSERVE_DIR"]
        assert environment["INTERPLAY_TORCHSERVE__KEY_FILE"] == f"{folder}/{KEY_FILE}"
        assert environment["INTERPLAY_TORCHSERVE__TARGET"] == "torchserve:7070"
        assert environment["INTERPLAY_RUNTIME"] == "in_process"
        # They wait for its models: a first start must not be taken for a failure.
        waits = ModelServerSettings.model_fields["torchserve"].default_factory().startup_timeout_s
        assert float(server["healthcheck"]["start_period"].removesuffix("s")) > waits
    chosen = render([FILE], {**SECRETS, "INTERPLAY_RUNTIME": "torchserve"}, {"cpu", "torchserve"})["services"]
    assert {chosen[c.slug]["environment"]["INTERPLAY_RUNTIME"] for c in CAPABILITIES} == {"torchserve"}
