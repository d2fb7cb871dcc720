"""The Kubernetes manifests: valid, restricted, consistent with one another and with the capability table.

Every overlay is rendered, and every component on the base: with ``kubectl`` where it is installed, else by
``tests/kustomize.py``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from deploy.kubernetes import QDRANT_METRICS_PORT
from deploy.resources import resources_of
from gateway.settings import GatewaySettings
from interplay import __version__
from interplay.capabilities import (
    CAPABILITIES,
    GATEWAY_METRICS_PORT,
    GATEWAY_PORT,
    WORKER_METRICS_PORT,
    Capability,
)
from interplay.jobs.dispatch import SOFT_SHUTDOWN_S
from interplay.serving.settings import ModelServerSettings
from interplay.settings import StateSettings
from tests import kustomize
from tests.conftest import REPOSITORY_ROOT
from tests.kubernetes import (
    COMPONENTS,
    K8S,
    KUBERNETES_VERSION,
    OVERLAYS,
    Manifest,
    assert_restricted,
    component_overlay,
    container,
    containers,
    environment,
    kubectl,
    may_connect,
    normal,
    of_kind,
    pod,
    pod_labels,
    ports,
    render,
    render_with_kubectl,
    selects,
    workloads,
)
from tests.variables import is_read

RENDERED = [f"overlays/{name}" for name in OVERLAYS] + [f"components/{name}" for name in COMPONENTS]
# Kinds that come with KEDA and the Prometheus operator; their own checks are below.
CUSTOM = {"ScaledObject", "PodMonitor", "PrometheusRule"}
OURS = {"gateway", "worker", *(c.slug for c in CAPABILITIES)}


def kustomization(name: str, scratch: Path) -> Path:
    """Folder to render: an overlay, or an overlay made for a component."""
    kind, _, own = name.partition("/")
    return K8S / name if kind == "overlays" else component_overlay(own, scratch)


@pytest.fixture(scope="module", params=RENDERED)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def manifests(name: str, tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    return render(kustomization(name, tmp_path_factory.mktemp("overlay")))


def test_kubectl_and_our_reader_agree(name: str, tmp_path: Path) -> None:
    if kubectl() is None:
        pytest.skip("kubectl is not installed: what is checked here was rendered by tests/kustomize.py alone")
    folder = kustomization(name, tmp_path)
    assert normal(kustomize.render(folder)) == normal(render_with_kubectl(folder))


def test_our_reader_renders_everything_and_refuses_what_it_does_not_know(name: str, tmp_path: Path) -> None:
    assert workloads(kustomize.render(kustomization(name, tmp_path)))
    (tmp_path / "kustomization.yaml").write_text("resources: []\nhelmCharts: [{name: x}]\n")
    with pytest.raises(kustomize.Unknown, match="helmCharts"):
        kustomize.render(tmp_path)


def test_schemas(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        if manifest["kind"] not in CUSTOM:
            kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)


def test_every_row_of_the_table_has_its_workload(manifests: list[Manifest]) -> None:
    missing = OURS - set(workloads(manifests))
    assert not missing, f"not in k8s/: {sorted(missing)}; run: make deploy"
    assert set(workloads(manifests)) - OURS <= {"valkey", "qdrant"}


def test_everything_is_in_the_namespace_which_is_restricted(manifests: list[Manifest]) -> None:
    namespace = of_kind(manifests, "Namespace")["interplay"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {m["metadata"]["namespace"] for m in manifests if m["kind"] != "Namespace"} == {"interplay"}


def test_pods_meet_the_restricted_standard(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        assert "initContainers" not in pod(workload), name
        assert_restricted(pod(workload), name)


def test_images_are_pinned(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        image = container(workload)["image"]
        assert image == f"interplay-{name}:{__version__}" or name not in OURS, name
        assert all(re.search(r":v?\d+\.\d+", each["image"]) for each in containers(workload)), name


def test_pods_have_probes_requests_and_a_memory_limit(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        for each in containers(workload):
            assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(each), name
            resources = each["resources"]
            assert {"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"], name


def test_requests_are_what_was_measured(manifests: list[Manifest], name: str) -> None:
    for capability in CAPABILITIES:
        own = container(workloads(manifests)[capability.slug])["resources"]
        limit = resources_of(capability.name).as_kubernetes()
        assert own["limits"]["memory"] == limit["limits"]["memory"]
        assert own["requests"] == limit["requests"] or name == "overlays/local"
    for part in ("gateway", "worker"):
        own = container(workloads(manifests)[part])["resources"]
        wanted = resources_of(part)
        assert int(own["requests"]["cpu"].removesuffix("m")) >= int(wanted.cpu.removesuffix("m")), part
        assert int(own["requests"]["memory"].removesuffix("Mi")) >= wanted.memory_mib, part


def test_what_is_referred_to_exists(manifests: list[Manifest]) -> None:
    claims = set(of_kind(manifests, "PersistentVolumeClaim"))
    for name, workload in workloads(manifests).items():
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket"):
                port = container(workload)[probe].get(how, {}).get("port")
                assert port is None or port in ports(workload), (name, probe)
        own = {c["metadata"]["name"] for c in workload["spec"].get("volumeClaimTemplates", [])}
        volumes = {volume["name"] for volume in pod(workload)["volumes"]} | own
        assert {m["name"] for each in containers(workload) for m in each["volumeMounts"]} == volumes, name
        for volume in pod(workload)["volumes"]:
            assert volume.get("persistentVolumeClaim", {"claimName": None})["claimName"] in {None, *claims}
        if workload["kind"] == "StatefulSet":
            assert workload["spec"]["serviceName"] in of_kind(manifests, "Service"), name
    for name, service in of_kind(manifests, "Service").items():
        target = ports(workloads(manifests)[name])
        assert all(port["targetPort"] in target for port in service["spec"]["ports"]), name


def test_variables_that_others_use_come_before_them(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        known: set[str] = set()
        for variable in container(workload).get("env", []):
            used = set(re.findall(r"\$\((\w+)\)", variable.get("value", "")))
            assert used <= known, (name, variable["name"])
            known.add(variable["name"])


def test_selectors_match_labels(manifests: list[Manifest]) -> None:
    labels = {name: pod_labels(workload) for name, workload in workloads(manifests).items()}
    for name, workload in workloads(manifests).items():
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
        for spread in pod(workload).get("topologySpreadConstraints", []):
            assert selects(spread["labelSelector"], labels[name]), name
    for name, service in of_kind(manifests, "Service").items():
        assert service["spec"]["selector"].items() <= labels[name].items()
    for name, budget in of_kind(manifests, "PodDisruptionBudget").items():
        assert selects(budget["spec"]["selector"], labels[name])
    for policy in of_kind(manifests, "NetworkPolicy").values():
        selector = policy["spec"]["podSelector"]
        assert any(selects(selector, given) for given in labels.values()), policy["metadata"]["name"]


def test_several_replicas_have_a_budget_and_are_spread(manifests: list[Manifest]) -> None:
    scaled = {o["spec"]["scaleTargetRef"]["name"] for o in of_kind(manifests, "ScaledObject").values()}
    for name, workload in workloads(manifests).items():
        if workload["spec"].get("replicas", 1) > 1 or name in scaled:
            assert name in of_kind(manifests, "PodDisruptionBudget"), name
            together = "affinity" in pod(workload)  # on the node of the volume that they share
            assert together or pod(workload)["topologySpreadConstraints"], name


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_model_servers_agree_with_the_table(manifests: list[Manifest], capability: Capability) -> None:
    workload = workloads(manifests)[capability.slug]
    variables = environment(workload, manifests)
    assert ports(workload) == {"grpc": capability.grpc_port, "metrics": capability.metrics_port}
    assert variables["INTERPLAY_PORT"] == str(capability.grpc_port)
    assert variables["INTERPLAY_METRICS_PORT"] == str(capability.metrics_port)
    own_service = {"port": capability.grpc_port, "service": capability.grpc_service}
    assert container(workload)["startupProbe"]["grpc"] == own_service
    assert container(workload)["readinessProbe"]["grpc"] == own_service
    assert container(workload)["livenessProbe"]["grpc"].get("service", "") == ""
    service = of_kind(manifests, "Service")[capability.slug]["spec"]
    assert service["clusterIP"] == "None", "clients balance over the pods"
    assert {port["port"] for port in service["ports"]} == {capability.grpc_port, capability.metrics_port}
    assert float(variables["INTERPLAY_MAX_CONNECTION_AGE_S"]) <= 300, "new pods get their share soon"
    # Embedded indexes belong to one process.
    alone = capability.indexes and "INTERPLAY_QDRANT_URL" not in variables
    assert not alone or workload["spec"]["replicas"] == 1


def test_gateway_and_worker_listen_where_the_table_says(manifests: list[Manifest]) -> None:
    gateway, worker = workloads(manifests)["gateway"], workloads(manifests)["worker"]
    assert ports(gateway) == {"http": GATEWAY_PORT, "metrics": GATEWAY_METRICS_PORT}
    assert ports(worker) == {"metrics": WORKER_METRICS_PORT}
    assert environment(gateway, manifests)["INTERPLAY_PORT"] == str(GATEWAY_PORT)
    # One model server that is away, or is being replaced, must not take every gateway out of the rotation.
    assert container(gateway)["readinessProbe"]["httpGet"]["path"] == "/readyz?own=true"
    assert container(gateway)["livenessProbe"]["httpGet"]["path"] == "/livez"


@pytest.mark.parametrize("client", ["gateway", "worker"])
def test_clients_know_every_server(manifests: list[Manifest], client: str, name: str) -> None:
    variables = environment(workloads(manifests)[client], manifests)
    addresses = json.loads(variables["INTERPLAY_CAPABILITY_ADDRESSES"])
    assert addresses == {c.name: f"dns:///{c.slug}:{c.grpc_port}" for c in CAPABILITIES}
    inside = "redis://:$(VALKEY_PASSWORD)@valkey:6379/0"
    assert variables["INTERPLAY_REDIS_URL"] == ("" if name == "components/external-redis" else inside)


def test_every_variable_is_one_that_the_process_reads(manifests: list[Manifest]) -> None:
    shared = {v for m in of_kind(manifests, "ConfigMap").values() for v in m["data"] if v.isupper()}
    assert shared <= {f"INTERPLAY_{field.upper()}" for field in StateSettings.model_fields}
    for part in OURS:
        own = {v["name"] for v in container(workloads(manifests)[part])["env"]} - {"VALKEY_PASSWORD"}
        assert [variable for variable in own if not is_read(variable, part)] == [], part


def test_grace_periods_are_longer_than_the_drains(manifests: list[Manifest]) -> None:
    def grace(part: str) -> int:
        seconds: int = pod(workloads(manifests)[part])["terminationGracePeriodSeconds"]
        return seconds

    for capability in CAPABILITIES:
        variables = environment(workloads(manifests)[capability.slug], manifests)
        delay, drain = (float(variables[f"INTERPLAY_DRAIN_{which}_S"]) for which in ("DELAY", "GRACE"))
        assert delay >= 5, "name resolution lags"
        assert drain >= ModelServerSettings.model_fields["max_deadline_s"].default, "calls may take as long"
        assert grace(capability.slug) > delay + drain
    variables = environment(workloads(manifests)["gateway"], manifests)
    delay, drain = (float(variables[f"INTERPLAY_SHUTDOWN_{which}_S"]) for which in ("DELAY", "GRACE"))
    assert delay >= 5 and drain > GatewaySettings.model_fields["request_timeout_s"].default
    assert grace("gateway") > delay + drain
    assert grace("worker") > SOFT_SHUTDOWN_S


def test_no_secret_is_in_a_manifest(manifests: list[Manifest]) -> None:
    assert not of_kind(manifests, "Secret")
    # A URL may name a variable that comes from the Secret, and no password.
    assert re.findall(r"://[^/\s\"]*:[^$/\s\"][^/\s\"]*@", json.dumps(manifests)) == []
    for name, workload in workloads(manifests).items():
        for variable in container(workload).get("env", []):
            if re.search("PASSWORD|DATABASE_URL|KEY$", variable["name"]):
                assert "secretKeyRef" in variable["valueFrom"] and "value" not in variable, (name, variable)


def test_only_the_gateway_can_be_reached_from_outside(manifests: list[Manifest]) -> None:
    services = of_kind(manifests, "Service")
    assert {n for n, s in services.items() if s["spec"].get("type", "ClusterIP") != "ClusterIP"} <= {
        "gateway"
    }
    assert "Ingress" not in {m["kind"] for m in manifests}
    for name, workload in workloads(manifests).items():
        given = [port for each in containers(workload) for port in each.get("ports", [])]
        assert not any("hostPort" in port for port in given), name


def test_valkey_wants_a_password_and_keeps_its_messages(manifests: list[Manifest], name: str) -> None:
    if name == "components/external-redis":
        assert "valkey" not in workloads(manifests)
        return
    valkey = workloads(manifests)["valkey"]
    (command,) = container(valkey)["args"]
    for option in ('--requirepass "$VALKEY_PASSWORD"', "--appendonly yes", "--maxmemory-policy noeviction"):
        assert option in command
    (claim,) = valkey["spec"]["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(valkey)["volumeMounts"]}
    assert mounts[claim["metadata"]["name"]] == "/data" and "--dir /data" in command


def test_network_policies_deny_all_but_the_edges(manifests: list[Manifest]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for caller in (*OURS, "valkey"):
        if caller not in workloads(manifests):
            continue
        for called in CAPABILITIES:
            row = next((c for c in CAPABILITIES if c.slug == caller), None)
            wanted = caller in ("gateway", "worker") or (row is not None and called.name in row.calls)
            assert may_connect(manifests, caller, called.slug, called.grpc_port) == wanted, (
                caller,
                called.slug,
            )
    scraped = {port["port"] for rule in policies["metrics"]["spec"]["ingress"] for port in rule["ports"]}
    own = {GATEWAY_METRICS_PORT, WORKER_METRICS_PORT, *(c.metrics_port for c in CAPABILITIES)}
    assert scraped == own | {QDRANT_METRICS_PORT}
    for store, port in (("valkey", 6379), ("qdrant", 6333)):
        if store not in workloads(manifests):
            continue
        clients = {c for c in OURS if may_connect(manifests, c, store, port)}
        indexes = {c.slug for c in CAPABILITIES if c.indexes}
        expected = {"valkey": {"gateway", "worker"}, "qdrant": indexes}
        assert clients == expected[store], store


def test_scaled_objects_follow_queue_and_requests_in_progress(manifests: list[Manifest]) -> None:
    metrics = set(
        re.findall(r'"(interplay_\w+)"', (REPOSITORY_ROOT / "interplay/telemetry/metrics.py").read_text())
    )
    for name, scaled in of_kind(manifests, "ScaledObject").items():
        spec = scaled["spec"]
        assert scaled["apiVersion"] == "keda.sh/v1alpha1"
        workload = of_kind(manifests, spec["scaleTargetRef"]["kind"])[spec["scaleTargetRef"]["name"]]
        assert "replicas" not in workload["spec"], f"{name}: KEDA decides"
        assert 1 <= spec["minReplicaCount"] < spec["maxReplicaCount"]
        assert spec["fallback"]["replicas"] >= spec["minReplicaCount"]
        for trigger in spec["triggers"]:
            assert trigger["type"] == "prometheus" and trigger["metricType"] == "AverageValue"
            asked = trigger["metadata"]
            assert asked["ignoreNullValues"] == "false" and float(asked["threshold"]) > 0
            assert set(re.findall(r"interplay_\w+", asked["query"])) <= metrics
            assert f'job="{name}"' in asked["query"]
        if name not in ("gateway", "worker"):
            used = " ".join(t["metadata"]["query"] for t in spec["triggers"])
            assert "queue_depth" in used and "inflight" in used


def test_monitors_scrape_every_part_and_rules_and_dashboards_are_the_shared_ones(
    name: str, manifests: list[Manifest]
) -> None:
    if "PodMonitor" not in {m["kind"] for m in manifests}:
        assert name not in ("components/monitoring", "overlays/gpu", "overlays/gpu-shared")
        return
    monitor = of_kind(manifests, "PodMonitor")["interplay"]["spec"]
    assert monitor["selector"] == {} and monitor["jobLabel"] == "app.kubernetes.io/name"
    (endpoint,) = monitor["podMetricsEndpoints"]
    for part in (*OURS, *({"qdrant"} & set(workloads(manifests)))):
        assert endpoint["port"] in ports(workloads(manifests)[part]), part
        assert pod_labels(workloads(manifests)[part])["app.kubernetes.io/name"] == part
    folder = K8S / "components" / "monitoring"
    rules = of_kind(manifests, "PrometheusRule")["interplay"]
    assert rules["spec"] == yaml.safe_load((folder / "rules.yml").read_text())
    boards = of_kind(manifests, "ConfigMap")["interplay-dashboards"]
    assert boards["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert boards["data"] == {f.name: f.read_text() for f in (folder / "dashboards").glob("*.json")}


def test_generated_files_are_as_the_generators_write_them() -> None:
    from deploy.generate import ROOT, generated_files, stale_files

    assert stale_files(ROOT, generated_files()) == [], "run: make deploy"
