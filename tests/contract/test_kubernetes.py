"""The Kubernetes manifests: valid, restricted, consistent with one another and with the capability table."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from gateway.settings import GatewaySettings
from interplay import __version__
from interplay.capabilities import CAPABILITIES, GATEWAY_METRICS_PORT, GATEWAY_PORT, WORKER_METRICS_PORT
from interplay.serving.settings import ModelServerSettings
from interplay.settings import StateSettings
from services.worker.settings import WorkerSettings
from tests.conftest import REPOSITORY_ROOT

K8S = REPOSITORY_ROOT / "k8s"
KUBERNETES_VERSION = "1.32"
Manifest = dict[str, Any]


def base_manifests() -> list[Manifest]:
    """Documents of the base as they are written, in the order of its kustomization."""
    kustomization = yaml.safe_load((K8S / "base" / "kustomization.yaml").read_text())
    files = [K8S / "base" / name for name in kustomization["resources"]]
    assert {f.name for f in files} == {f.name for f in (K8S / "base").glob("*.yaml")} - {"kustomization.yaml"}
    return [document for file in files for document in yaml.safe_load_all(file.read_text())]


def rendered(folder: Path) -> list[Manifest]:
    """Documents of a kustomization as kubectl renders them."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed; the base is checked without it")
    done = subprocess.run([kubectl, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module", params=["base as written", "base", "overlays/local"])
def manifests(request: pytest.FixtureRequest) -> list[Manifest]:
    return base_manifests() if request.param == "base as written" else rendered(K8S / request.param)


def of_kind(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    """Manifests of some kinds by name."""
    return {m["metadata"]["name"]: m for m in manifests if m["kind"] in kinds}


def workloads(manifests: list[Manifest]) -> dict[str, Manifest]:
    """Deployments and StatefulSets by name."""
    return of_kind(manifests, "Deployment", "StatefulSet")


def pod(workload: Manifest) -> Manifest:
    """The pod's specification."""
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def container(workload: Manifest) -> Manifest:
    """The only container of a workload."""
    (only,) = pod(workload)["containers"]
    result: Manifest = only
    return result


def environment(workload: Manifest, manifests: list[Manifest]) -> dict[str, str]:
    """Variables of a workload: its ConfigMap's, then its own; references to secrets as they are written."""
    variables: dict[str, str] = {}
    for source in container(workload).get("envFrom", []):
        variables |= of_kind(manifests, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    return variables | {v["name"]: v.get("value", "") for v in container(workload).get("env", [])}


def ports(workload: Manifest) -> dict[str, int]:
    """Container ports by name."""
    return {port["name"]: port["containerPort"] for port in container(workload)["ports"]}


def test_schemas(manifests: list[Manifest]) -> None:
    for manifest in manifests:
        kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)


def test_one_workload_a_capability_beside_gateway_worker_and_valkey(manifests: list[Manifest]) -> None:
    assert set(workloads(manifests)) == {c.slug for c in CAPABILITIES} | {"gateway", "worker", "valkey"}


def test_everything_is_in_the_namespace_which_is_restricted(manifests: list[Manifest]) -> None:
    namespace = of_kind(manifests, "Namespace")["interplay"]
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    assert {m["metadata"]["namespace"] for m in manifests if m["kind"] != "Namespace"} == {"interplay"}


def test_pods_meet_the_restricted_standard(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        context = pod(workload)["securityContext"]
        assert context["runAsNonRoot"] is True and context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod(workload)["automountServiceAccountToken"] is False, name
        own = container(workload)["securityContext"]
        assert own["allowPrivilegeEscalation"] is False and own["readOnlyRootFilesystem"] is True, name
        assert own["capabilities"] == {"drop": ["ALL"]}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod(workload)), name
        kinds = {key for volume in pod(workload)["volumes"] for key in volume if key != "name"}
        assert kinds <= {"emptyDir", "persistentVolumeClaim", "secret"}, name


def test_images_are_pinned_to_this_version(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        image = container(workload)["image"]
        assert image == f"interplay-{name}:{__version__}" or name == "valkey", name
        assert ":" in image and not image.endswith(":latest"), name


def test_pods_have_probes_requests_and_a_memory_limit(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container(workload)), name
        resources = container(workload)["resources"]
        assert {"cpu", "memory"} <= set(resources["requests"]) and "memory" in resources["limits"], name


def test_every_port_that_is_named_exists(manifests: list[Manifest]) -> None:
    for name, workload in workloads(manifests).items():
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            for how in ("httpGet", "tcpSocket"):
                port = container(workload)[probe].get(how, {}).get("port")
                assert port is None or port in ports(workload), (name, probe)
    for name, service in of_kind(manifests, "Service").items():
        target = ports(workloads(manifests)[name])
        assert all(port["targetPort"] in target for port in service["spec"]["ports"]), name


def test_selectors_match_labels(manifests: list[Manifest]) -> None:
    labels = {
        name: workload["spec"]["template"]["metadata"]["labels"]
        for name, workload in workloads(manifests).items()
    }
    for name, workload in workloads(manifests).items():
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
    for name, service in of_kind(manifests, "Service").items():
        assert service["spec"]["selector"].items() <= labels[name].items()
    for name, budget in of_kind(manifests, "PodDisruptionBudget").items():
        assert budget["spec"]["selector"]["matchLabels"].items() <= labels[name].items()
    for policy in of_kind(manifests, "NetworkPolicy").values():
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        assert any(wanted.items() <= given.items() for given in labels.values()), policy["metadata"]["name"]


@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: c.name)
def test_model_servers_agree_with_the_table(manifests: list[Manifest], capability: Any) -> None:
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


def test_gateway_and_worker_listen_where_the_table_says(manifests: list[Manifest]) -> None:
    gateway, worker = workloads(manifests)["gateway"], workloads(manifests)["worker"]
    assert ports(gateway) == {"http": GATEWAY_PORT, "metrics": GATEWAY_METRICS_PORT}
    assert ports(worker) == {"metrics": WORKER_METRICS_PORT}
    assert environment(gateway, manifests)["INTERPLAY_PORT"] == str(GATEWAY_PORT)


@pytest.mark.parametrize("client", ["gateway", "worker"])
def test_clients_know_every_server(manifests: list[Manifest], client: str) -> None:
    variables = environment(workloads(manifests)[client], manifests)
    addresses = json.loads(variables["INTERPLAY_CAPABILITY_ADDRESSES"])
    assert addresses == {c.name: f"dns:///{c.slug}:{c.grpc_port}" for c in CAPABILITIES}
    assert variables["INTERPLAY_REDIS_URL"] == "redis://:$(VALKEY_PASSWORD)@valkey:6379/0"


def test_every_variable_is_one_that_the_process_reads(manifests: list[Manifest]) -> None:
    settings = {"gateway": GatewaySettings, "worker": WorkerSettings}
    shared = set(of_kind(manifests, "ConfigMap")["interplay"]["data"])
    assert shared <= {f"INTERPLAY_{name.upper()}" for name in StateSettings.model_fields}
    for name, workload in workloads(manifests).items():
        known = settings.get(name, ModelServerSettings).model_fields  # base of every model server's
        own = {v["name"] for v in container(workload)["env"] if v["name"] != "VALKEY_PASSWORD"}
        assert {variable.removeprefix("INTERPLAY_").lower() for variable in own} <= set(known), name


def test_grace_periods_are_longer_than_the_drains(manifests: list[Manifest]) -> None:
    def grace(name: str) -> int:
        seconds: int = pod(workloads(manifests)[name])["terminationGracePeriodSeconds"]
        return seconds

    fields = ModelServerSettings.model_fields
    for capability in CAPABILITIES:
        variables = environment(workloads(manifests)[capability.slug], manifests)
        assert (
            grace(capability.slug)
            > float(variables["INTERPLAY_DRAIN_DELAY_S"]) + fields["drain_grace_s"].default
        )
    variables = environment(workloads(manifests)["gateway"], manifests)
    drain = GatewaySettings.model_fields["shutdown_grace_s"].default
    assert grace("gateway") > float(variables["INTERPLAY_SHUTDOWN_DELAY_S"]) + drain


def test_no_secret_is_in_a_manifest(manifests: list[Manifest]) -> None:
    assert not of_kind(manifests, "Secret")
    for name, workload in workloads(manifests).items():
        for variable in container(workload).get("env", []):
            if "PASSWORD" in variable["name"] or "DATABASE_URL" in variable["name"]:
                assert "secretKeyRef" in variable["valueFrom"], (name, variable["name"])


def test_network_policies_deny_all_but_the_edges(manifests: list[Manifest]) -> None:
    policies = of_kind(manifests, "NetworkPolicy")
    assert policies["default-deny"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    grpc_ports = {c.grpc_port for c in CAPABILITIES}
    for client in ("gateway", "worker"):
        allowed = {port["port"] for rule in policies[client]["spec"]["egress"] for port in rule["ports"]}
        assert allowed == {6379, *grpc_ports}
    into_servers = policies["model-servers"]["spec"]["ingress"]
    assert {port["port"] for rule in into_servers for port in rule["ports"]} == grpc_ports
    scraped = {port["port"] for rule in policies["metrics"]["spec"]["ingress"] for port in rule["ports"]}
    assert scraped == {GATEWAY_METRICS_PORT, WORKER_METRICS_PORT, *(c.metrics_port for c in CAPABILITIES)}


def test_the_local_overlay_runs_one_of_each() -> None:
    local = workloads(rendered(K8S / "overlays" / "local"))
    assert {workload["spec"]["replicas"] for workload in local.values()} == {1}
    gateway = of_kind(rendered(K8S / "overlays" / "local"), "Service")["gateway"]
    assert gateway["spec"]["type"] == "NodePort"
