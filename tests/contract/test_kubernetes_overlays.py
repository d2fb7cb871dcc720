"""What the overlays and components change in the Kubernetes manifests; test_kubernetes.py has the rest."""

from __future__ import annotations

import os
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from deploy.kubernetes import QDRANT_METRICS_PORT
from interplay import __version__
from interplay.capabilities import CAPABILITIES
from interplay.launcher.torchserve.settings import KEY_FILE, TorchServeProcessSettings
from interplay.serving.torchserve.settings import TorchServeSettings
from tests import kustomize
from tests.conftest import REPOSITORY_ROOT
from tests.kubernetes import (
    COMPONENTS,
    K8S,
    KUBERNETES_VERSION,
    OVERLAYS,
    assert_restricted,
    component_overlay,
    container,
    containers,
    environment,
    may_connect,
    normal,
    of_kind,
    pod,
    pod_labels,
    ports,
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
    named = {image["name"] for image in yaml.safe_load(example)["images"]}
    assert {"interplay-gateway", "interplay-worker", "interplay-text-detection"} <= named
    images = {own["image"] for workload in workloads(manifests).values() for own in containers(workload)}
    for name in named:  # each is one that there is
        assert f"registry.example.org/{name}:{__version__}" in images
    variables = environment(workloads(manifests)["text-detection"], manifests)
    assert variables["INTERPLAY_MAX_INFLIGHT"] == "32"


def test_the_guide_names_every_overlay_component_and_profile() -> None:
    guide = (REPOSITORY_ROOT / "docs/operations.md").read_text()
    compose = yaml.safe_load((REPOSITORY_ROOT / "docker-compose.yml").read_text())["services"]
    profiles = {profile for service in compose.values() for profile in service["profiles"]}
    assert all(f"`{name}`" in guide for name in (*OVERLAYS, *COMPONENTS, *profiles))


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
        # It makes its folder private (chmod), which nobody may do to the volume itself: that is root's.
        folder = Path(variables["INTERPLAY_TORCHSERVE_DIR"]["value"])
        assert folder.parent == Path(mount["mountPath"])
        key = environment(workload, manifests)["INTERPLAY_TORCHSERVE__KEY_FILE"]
        assert key == f"{folder}/{KEY_FILE}"
        assert torchserve["image"] == f"interplay-torchserve:{__version__}"
        for name in variables:
            assert name.removeprefix("INTERPLAY_").lower() in TorchServeProcessSettings.model_fields
        # The server waits for its models, and so does the probe.
        startup = container(workload)["startupProbe"]
        waits = TorchServeSettings().startup_timeout_s
        assert startup["failureThreshold"] * startup["periodSeconds"] > waits


def test_qdrant_tells_its_metrics_at_a_port_of_their_own(tmp_path: Path) -> None:
    manifests = render(component_overlay("qdrant-cluster", tmp_path))
    qdrant = workloads(manifests)["qdrant"]
    (asked,) = [v for v in container(qdrant)["env"] if v["name"] == "QDRANT__SERVICE__METRICS_PORT"]
    assert ports(qdrant)["metrics"] == int(asked["value"]) == QDRANT_METRICS_PORT
    # It wants no key, so no pod of the namespace may go there; the policy "metrics" lets the scraper.
    others = (name for name in workloads(manifests))
    assert not any(may_connect(manifests, name, "qdrant", QDRANT_METRICS_PORT) for name in others)


@pytest.mark.parametrize("tool", sorted(f.name for f in (K8S / "tools").iterdir()))
def test_pods_for_a_hand_in_a_volume_are_let_in_and_find_it(tool: str, tmp_path: Path) -> None:
    found = yaml.safe_load((K8S / "tools" / tool).read_text())
    kubernetes_validate.validate(found, KUBERNETES_VERSION, strict=True)
    assert found["metadata"]["namespace"] == "interplay"
    assert_restricted(found["spec"], tool)
    (own,) = found["spec"]["containers"]
    assert re.fullmatch(rf"interplay-[a-z-]+:{re.escape(__version__)}", own["image"])
    manifests = render(component_overlay("model-store-volume", tmp_path))
    claims = of_kind(manifests, "PersistentVolumeClaim")
    (volume,) = [v for v in found["spec"]["volumes"] if "persistentVolumeClaim" in v]
    claim = claims[volume["persistentVolumeClaim"]["claimName"]]
    assert claim["spec"]["accessModes"] != ["ReadOnlyMany"], "somebody must be able to fill it"
    # On the node of those who have it, where only one node can.
    together = "podAffinity" in found["spec"].get("affinity", {})
    assert together == (claim["spec"]["accessModes"] == ["ReadWriteOnce"])
    assert f"k8s/tools/{tool}" in (REPOSITORY_ROOT / "docs/operations.md").read_text()


def test_external_stores_take_their_place(tmp_path: Path) -> None:
    postgres = render(component_overlay("external-postgres", tmp_path))
    assert of_kind(postgres, "PersistentVolumeClaim")["state"]["spec"]["accessModes"] == ["ReadWriteMany"]
    for client in ("gateway", "worker"):
        workload = workloads(postgres)[client]
        (url,) = [v for v in container(workload)["env"] if v["name"] == "INTERPLAY_DATABASE_URL"]
        assert url["valueFrom"]["secretKeyRef"]["optional"] is False and "affinity" not in pod(workload)
        keys = {c["topologyKey"] for c in pod(workload)["topologySpreadConstraints"]}
        assert keys == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    redis = render(component_overlay("external-redis", tmp_path))
    assert "valkey" not in {m["metadata"]["name"] for m in redis}
    for client in ("gateway", "worker"):
        variables = {v["name"]: v for v in container(workloads(redis)[client])["env"]}
        assert "VALKEY_PASSWORD" not in variables
        assert variables["INTERPLAY_REDIS_URL"]["valueFrom"]["secretKeyRef"]["key"] == "redis-url"
