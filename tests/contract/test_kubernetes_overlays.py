"""What the overlays and components change in the Kubernetes manifests; test_kubernetes.py has the rest."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from interplay import __version__
from interplay.capabilities import CAPABILITIES
from tests import kustomize
from tests.conftest import REPOSITORY_ROOT
from tests.kubernetes import (
    COMPONENTS,
    K8S,
    OVERLAYS,
    component_overlay,
    container,
    containers,
    environment,
    normal,
    of_kind,
    pod,
    pod_labels,
    render,
    workloads,
)


def test_the_local_overlay_runs_one_of_each() -> None:
    local = render(K8S / "overlays" / "local")
    assert {workload["spec"]["replicas"] for workload in workloads(local).values()} == {1}
    assert of_kind(local, "Service")["gateway"]["spec"]["type"] == "NodePort"


@pytest.mark.parametrize(
    ("overlay", "resource"), [("gpu", "nvidia.com/gpu"), ("gpu-shared", "nvidia.com/gpu.shared")]
)
def test_gpu_overlays_give_each_model_server_one(overlay: str, resource: str) -> None:
    manifests = render(K8S / "overlays" / overlay)
    for capability in CAPABILITIES:
        workload = workloads(manifests)[capability.slug]
        assert container(workload)["resources"]["limits"][resource] == 1
        assert environment(workload, manifests)["INTERPLAY_DEVICE"] == "cuda"
        assert any(t["key"] == "nvidia.com/gpu" for t in pod(workload)["tolerations"])


def test_the_overlay_of_the_operations_guide_works(tmp_path: Path) -> None:
    guide = (REPOSITORY_ROOT / "docs/operations.md").read_text()
    (example,) = re.findall(r"```yaml\n# my-overlay/kustomization.yaml\n(.*?)```", guide, re.DOTALL)
    relative = os.path.relpath(REPOSITORY_ROOT.resolve(), tmp_path.resolve())
    (tmp_path / "kustomization.yaml").write_text(example.replace("../k8s", f"{relative}/k8s"))
    manifests = render(tmp_path)
    assert normal(kustomize.render(tmp_path)) == normal(manifests)
    image = container(workloads(manifests)["gateway"])["image"]
    assert image == f"registry.example.org/interplay-gateway:{__version__}"


def test_the_guide_names_every_overlay_component_and_profile() -> None:
    guide = (REPOSITORY_ROOT / "docs/operations.md").read_text()
    assert all(f"`{name}`" in guide for name in (*OVERLAYS, *COMPONENTS))


def test_torchserve_is_beside_each_model_server_and_shares_its_token_with_nobody_else(tmp_path: Path) -> None:
    manifests = render(component_overlay("torchserve", tmp_path))
    for capability in CAPABILITIES:
        workload = workloads(manifests)[capability.slug]
        server, torchserve = containers(workload)
        variables = {v["name"]: v for v in torchserve["env"]}
        assert pod_labels(workload)["interplay/capability"] == capability.name
        field = variables["INTERPLAY_TORCHSERVE_CAPABILITIES"]["valueFrom"]["fieldRef"]["fieldPath"]
        assert field == "metadata.labels['interplay/capability']"
        assert "ports" not in torchserve, "it listens on the loopback alone"
        assert {"name": "torchserve", "emptyDir": {}} in pod(workload)["volumes"]
        (mount,) = [m for m in server["volumeMounts"] if m["name"] == "torchserve"]
        assert mount["readOnly"] is True
        key = environment(workload, manifests)["INTERPLAY_TORCHSERVE__KEY_FILE"]
        assert key == f"{mount['mountPath']}/key_file.json"


def test_external_stores_take_their_place(tmp_path: Path) -> None:
    postgres = render(component_overlay("external-postgres", tmp_path))
    assert of_kind(postgres, "PersistentVolumeClaim")["state"]["spec"]["accessModes"] == ["ReadWriteMany"]
    for client in ("gateway", "worker"):
        workload = workloads(postgres)[client]
        (url,) = [v for v in container(workload)["env"] if v["name"] == "INTERPLAY_DATABASE_URL"]
        assert url["valueFrom"]["secretKeyRef"]["optional"] is False and "affinity" not in pod(workload)
    redis = render(component_overlay("external-redis", tmp_path))
    assert "valkey" not in {m["metadata"]["name"] for m in redis}
    for client in ("gateway", "worker"):
        variables = {v["name"]: v for v in container(workloads(redis)[client])["env"]}
        assert "VALKEY_PASSWORD" not in variables
        assert variables["INTERPLAY_REDIS_URL"]["valueFrom"]["secretKeyRef"]["key"] == "redis-url"
