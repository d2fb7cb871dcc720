"""The model servers' manifests: one file a row of the capability table, and what must name all rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from deploy.resources import resources_of
from interplay import __version__
from interplay.capabilities import (
    GATEWAY_METRICS_PORT,
    WORKER_METRICS_PORT,
    Capability,
    get_capability,
)

Manifest = dict[str, Any]

MARK = "Written by `python -m deploy.generate`"
HEADER = f"# {MARK}; change that, not this.\n"
SERVERS = Path("k8s/base/servers")
COMPONENTS = Path("k8s/components")
# Requests of one replica, waiting or running, at which one more is wanted. A batch takes eight.
SCALE_AT_QUEUED, SCALE_AT_INFLIGHT = "4", "8"
MAX_REPLICAS = 8
# A server that stops serves on for the delay, until the clients' name resolution has noticed; then it
# finishes calls in progress, for as long as the longest may take (max_deadline_s). Then it is killed.
DRAIN_DELAY_S, DRAIN_GRACE_S, STOP_AFTER_S = 5, 60, 90
# Where Qdrant tells its metrics without a key (QDRANT__SERVICE__METRICS_PORT).
QDRANT_METRICS_PORT = 6336
# KEDA asks there; an overlay patches it where Prometheus is elsewhere.
PROMETHEUS = "http://prometheus-operated.monitoring.svc:9090"


def files(root: Path, capabilities: tuple[Capability, ...]) -> dict[Path, str]:
    """Generated files by path."""
    servers = {f"{c.slug}.yaml": _text(*server(c)) for c in capabilities}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["addresses.yaml", *servers],
    }
    scaled = [scaled_object(c) for c in capabilities if not c.indexes]
    scaled_indexes = [scaled_object(c) for c in capabilities if c.indexes]
    rules = yaml.safe_load((root / COMPONENTS / "monitoring/rules.yml").read_text())
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "interplay"},
        "spec": rules,
    }
    return {
        SERVERS / "kustomization.yaml": _text(kustomization),
        SERVERS / "addresses.yaml": _text(addresses(capabilities)),
        **{SERVERS / name: text for name, text in servers.items()},
        COMPONENTS / "network-policies/servers.yaml": _text(*network_policies(capabilities)),
        COMPONENTS / "autoscaling/servers.yaml": _text(*scaled),
        COMPONENTS / "autoscaling-indexes/servers.yaml": _text(*scaled_indexes),
        COMPONENTS / "monitoring/prometheus-rule.yaml": _text(rule),
    }


def target(capability: Capability) -> str:
    """gRPC target of a capability's servers: a name that resolves to every pod, or container."""
    return f"dns:///{capability.slug}:{capability.grpc_port}"


def addresses(capabilities: tuple[Capability, ...]) -> Manifest:
    """The ConfigMap that tells every process where the model servers are."""
    found = json.dumps({c.name: target(c) for c in capabilities})
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "interplay-servers"},
        "data": {"INTERPLAY_CAPABILITY_ADDRESSES": found},
    }


def server(capability: Capability) -> list[Manifest]:
    """Service, workload and disruption budget of a model server.

    The Service is headless: clients see every pod and balance the calls themselves (round robin), which one
    long-lived HTTP/2 connection through a cluster IP would not. Where the capability keeps indexes, the
    workload is a StatefulSet of one pod with a volume of its own: embedded indexes belong to one process.
    """
    name, labels = capability.slug, {"app.kubernetes.io/name": capability.slug}
    ports = {"grpc": capability.grpc_port, "metrics": capability.metrics_port}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "labels": {**labels, "interplay/role": "model-server"}},
        "spec": {
            "clusterIP": "None",
            "selector": labels,
            "ports": [{"name": key, "port": port, "targetPort": key} for key, port in ports.items()],
        },
    }
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name},
        "spec": {"maxUnavailable": 1, "selector": {"matchLabels": labels}},
    }
    spec: Manifest = {"replicas": 1 if capability.indexes else 2, "selector": {"matchLabels": labels}}
    spec |= (
        {"serviceName": name}
        if capability.indexes
        else {"strategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}}
    )
    spec["template"] = {
        "metadata": {
            "labels": {**labels, "interplay/role": "model-server", "interplay/capability": capability.name}
        },
        "spec": _pod(capability, ports),
    }
    if capability.indexes:
        spec["volumeClaimTemplates"] = [
            {
                "metadata": {"name": "indexes"},
                "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "20Gi"}}},
            }
        ]
    own = {"interplay/role": "model-server", "interplay/indexes": str(capability.indexes).lower()}
    workload = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet" if capability.indexes else "Deployment",
        "metadata": {"name": name, "labels": {**labels, **own}},
        "spec": spec,
    }
    return [service, workload, budget]


def _pod(capability: Capability, ports: dict[str, int]) -> Manifest:
    own_health = {"grpc": {"port": capability.grpc_port, "service": capability.grpc_service}}
    mounts, volumes = [{"name": "tmp", "mountPath": "/tmp"}], [{"name": "tmp", "emptyDir": {}}]
    if capability.indexes:
        mounts.append({"name": "indexes", "mountPath": "/state"})
    container = {
        "name": "server",
        "image": f"interplay-{capability.slug}:{__version__}",
        "envFrom": [{"configMapRef": {"name": name}} for name in ("interplay", "interplay-servers")],
        "env": [
            {"name": "INTERPLAY_HOST", "value": "0.0.0.0"},
            {"name": "INTERPLAY_PORT", "value": str(capability.grpc_port)},
            {"name": "INTERPLAY_METRICS_PORT", "value": str(capability.metrics_port)},
            {"name": "INTERPLAY_DRAIN_DELAY_S", "value": str(DRAIN_DELAY_S)},
            {"name": "INTERPLAY_DRAIN_GRACE_S", "value": str(DRAIN_GRACE_S)},
            # So soon new pods get their share of the calls.
            {"name": "INTERPLAY_MAX_CONNECTION_AGE_S", "value": "300"},
        ],
        "ports": [{"name": name, "containerPort": port} for name, port in ports.items()],
        "startupProbe": {**own_health, "periodSeconds": 3, "timeoutSeconds": 3, "failureThreshold": 60},
        "readinessProbe": {**own_health, "periodSeconds": 5, "timeoutSeconds": 3},
        "livenessProbe": {
            "grpc": {"port": capability.grpc_port},
            "periodSeconds": 10,
            "timeoutSeconds": 5,
            "failureThreshold": 3,
        },
        "resources": resources_of(capability.name).as_kubernetes(),
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": mounts,
    }
    labels = {"matchLabels": {"app.kubernetes.io/name": capability.slug}}
    return {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": STOP_AFTER_S,
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": key,
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": labels,
            }
            for key in ("kubernetes.io/hostname", "topology.kubernetes.io/zone")
        ],
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "runAsGroup": 1000,
            "fsGroup": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": volumes,
    }


def network_policies(capabilities: tuple[Capability, ...]) -> list[Manifest]:
    """Edges between clients and model servers, and for whoever scrapes."""
    grpc = [{"port": c.grpc_port} for c in capabilities]
    servers = {"podSelector": {"matchLabels": {"interplay/role": "model-server"}}}
    clients = ("gateway", "worker")
    policies = [
        _policy("model-servers", servers["podSelector"], ingress=[(_named(*clients), grpc)]),
        *(
            _policy(
                f"{client}-to-model-servers", _named(client)[0]["podSelector"], egress=[([servers], grpc)]
            )
            for client in clients
        ),
    ]
    for caller in capabilities:
        for called in map(get_capability, caller.calls):
            port = [{"port": called.grpc_port}]
            here, there = _named(caller.slug), _named(called.slug)
            name = f"{caller.slug}-to-{called.slug}"
            policies.append(_policy(name, here[0]["podSelector"], egress=[(there, port)]))
            policies.append(_policy(f"{name}-in", there[0]["podSelector"], ingress=[(here, port)]))
    own = (GATEWAY_METRICS_PORT, WORKER_METRICS_PORT, QDRANT_METRICS_PORT)
    scraped = sorted({*own, *(c.metrics_port for c in capabilities)})
    scraper = [{"namespaceSelector": {"matchLabels": {"interplay/metrics": "true"}}}]
    policies.append(_policy("metrics", {}, ingress=[(scraper, [{"port": port} for port in scraped])]))
    return policies


Edge = tuple[list[Manifest], list[dict[str, int]]]


def _policy(
    name: str, pods: Manifest, *, ingress: list[Edge] | None = None, egress: list[Edge] | None = None
) -> Manifest:
    spec: Manifest = {"podSelector": pods, "policyTypes": ["Ingress" if ingress else "Egress"]}
    if ingress:
        spec["ingress"] = [{"from": peers, "ports": ports} for peers, ports in ingress]
    if egress:
        spec["egress"] = [{"to": peers, "ports": ports} for peers, ports in egress]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": spec,
    }


def _named(*names: str) -> list[Manifest]:
    return [{"podSelector": {"matchLabels": {"app.kubernetes.io/name": name}}} for name in names]


def scaled_object(capability: Capability) -> Manifest:
    """KEDA's rule for a model server: more pods when items queue or requests pile up.

    Both queries add up over the pods, and KEDA divides by their number (AverageValue). No figure is an error
    (``ignoreNullValues``), and then ``fallback`` holds, so a broken Prometheus never scales to nothing.
    """
    metrics = {
        "interplay_inference_queue_depth": SCALE_AT_QUEUED,
        "interplay_inference_inflight": SCALE_AT_INFLIGHT,
    }
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": capability.slug},
        "spec": {
            "scaleTargetRef": {
                "kind": "StatefulSet" if capability.indexes else "Deployment",
                "name": capability.slug,
            },
            "minReplicaCount": 2,
            "maxReplicaCount": MAX_REPLICAS,
            "pollingInterval": 10,
            "fallback": {"failureThreshold": 3, "replicas": 2},
            "advanced": {
                "horizontalPodAutoscalerConfig": {
                    "behavior": {
                        "scaleDown": {
                            "stabilizationWindowSeconds": 300,
                            "policies": [{"type": "Pods", "value": 1, "periodSeconds": 60}],
                        }
                    }
                }
            },
            "triggers": [
                {
                    "type": "prometheus",
                    "metricType": "AverageValue",
                    "metadata": {
                        "serverAddress": PROMETHEUS,
                        "query": f'sum({metric}{{job="{capability.slug}"}})',
                        "threshold": threshold,
                        "ignoreNullValues": "false",
                    },
                }
                for metric, threshold in metrics.items()
            ],
        },
    }


class _Dumper(yaml.SafeDumper):
    """Block style, no anchors, list items indented."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)


def _text(*documents: Manifest) -> str:
    parts = [yaml.dump(d, Dumper=_Dumper, sort_keys=False, width=110) for d in documents]
    return HEADER + "---\n".join(parts)
