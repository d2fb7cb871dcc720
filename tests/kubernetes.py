"""Kubernetes manifests for tests: rendering kustomizations, and finding one's way in what comes out."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests import kustomize
from tests.conftest import REPOSITORY_ROOT

K8S = REPOSITORY_ROOT / "k8s"
OVERLAYS = sorted(folder.name for folder in (K8S / "overlays").iterdir())
COMPONENTS = sorted(folder.name for folder in (K8S / "components").iterdir())
KUBERNETES_VERSION = "1.32"
# Components that mean nothing without another one.
NEEDS = {"autoscaling-indexes": ["qdrant-cluster"]}
Manifest = dict[str, Any]


def normal(manifests: list[Manifest]) -> dict[tuple[str, str], Any]:
    """Manifests by kind and name, for comparison: the items of lists are put in order."""

    def ordered(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: ordered(item) for key, item in value.items()}
        if isinstance(value, list):
            items = [ordered(item) for item in value]
            return sorted(items, key=lambda i: json.dumps(i, sort_keys=True))
        return value

    return {(m["kind"], m["metadata"]["name"]): ordered(m) for m in manifests}


def kubectl() -> str | None:
    """The program, where it is installed."""
    return shutil.which("kubectl")


def render_with_kubectl(folder: Path) -> list[Manifest]:
    """Documents of a kustomization as kubectl renders them."""
    program = kubectl()
    assert program is not None
    done = subprocess.run([program, "kustomize", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


def render(folder: Path) -> list[Manifest]:
    """Documents of a kustomization: by kubectl where it is installed, else by our own reader."""
    return render_with_kubectl(folder) if kubectl() else kustomize.render(folder)


def component_overlay(component: str, folder: Path) -> Path:
    """An overlay of the base with one component (and those it needs), written to a folder."""

    def relative(path: Path) -> str:
        return os.path.relpath(path.resolve(), folder.resolve())

    names = ["network-policies", *NEEDS.get(component, []), component]
    wanted = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": "interplay",
        "resources": [relative(K8S / "base")],
        "components": [relative(K8S / "components" / name) for name in dict.fromkeys(names)],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(wanted))
    return folder


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


def pod_labels(workload: Manifest) -> dict[str, str]:
    """Labels of the pods."""
    labels: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def container(workload: Manifest) -> Manifest:
    """The container of a workload: the one of ours, where there is another beside it."""
    first, *others = pod(workload)["containers"]
    assert [other["name"] for other in others] in ([], ["torchserve"])
    result: Manifest = first
    return result


def containers(workload: Manifest) -> list[Manifest]:
    """All containers of a workload."""
    assert "initContainers" not in pod(workload)
    found: list[Manifest] = pod(workload)["containers"]
    return found


def environment(workload: Manifest, manifests: list[Manifest]) -> dict[str, str]:
    """Variables of a workload: those of its ConfigMaps, then its own; references to secrets are empty."""
    variables: dict[str, str] = {}
    for source in container(workload).get("envFrom", []):
        variables |= of_kind(manifests, "ConfigMap")[source["configMapRef"]["name"]]["data"]
    return variables | {v["name"]: v.get("value", "") for v in container(workload).get("env", [])}


def assert_restricted(spec: Manifest, name: str) -> None:
    """See that a pod's specification meets the restricted Pod Security Standard, and our house rules."""
    context = spec["securityContext"]
    assert context["runAsNonRoot"] is True and context["runAsUser"] > 0, name
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
    assert spec["automountServiceAccountToken"] is False, name
    assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec), name
    for own in (each["securityContext"] for each in spec["containers"]):
        assert own["allowPrivilegeEscalation"] is False and own["readOnlyRootFilesystem"] is True, name
        assert own["capabilities"] == {"drop": ["ALL"]} and "privileged" not in own, name
    kinds = {key for volume in spec["volumes"] for key in volume if key != "name"}
    assert kinds <= {"emptyDir", "persistentVolumeClaim", "secret", "configMap"}, name


def ports(workload: Manifest) -> dict[str, int]:
    """Container ports by name."""
    return {port["name"]: port["containerPort"] for port in container(workload)["ports"]}


def selects(selector: Manifest, labels: dict[str, str]) -> bool:
    """Whether a label selector fits labels."""
    wanted = selector.get("matchLabels", {}).items() <= labels.items()
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", expression
        wanted = wanted and labels.get(expression["key"]) in expression["values"]
    return bool(wanted)


def may_connect(manifests: list[Manifest], client: str, server: str, port: int) -> bool:
    """Whether the network policies let pods of a workload reach a port of another's."""
    here, there = (pod_labels(workloads(manifests)[name]) for name in (client, server))

    def allowed(direction: str, peers: str, own: dict[str, str], other: dict[str, str]) -> bool:
        rules = [
            rule
            for policy in of_kind(manifests, "NetworkPolicy").values()
            if selects(policy["spec"]["podSelector"], own)
            for rule in policy["spec"].get(direction, [])
        ]
        return any(
            any(p["port"] == port for p in rule["ports"])
            and (
                peers not in rule
                or any("podSelector" in peer and selects(peer["podSelector"], other) for peer in rule[peers])
            )
            for rule in rules
        )

    return allowed("egress", "to", here, there) and allowed("ingress", "from", there, here)
