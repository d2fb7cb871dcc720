"""The model servers of docker-compose.yml: the two marked parts of the file that list capabilities."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from deploy.kubernetes import DRAIN_GRACE_S, HEADER, QDRANT_METRICS_PORT, STOP_AFTER_S, target
from deploy.resources import resources_of
from interplay import __version__
from interplay.capabilities import GATEWAY_METRICS_PORT, WORKER_METRICS_PORT, Capability

FILE = Path("docker-compose.yml")
PROMETHEUS = Path("deploy/prometheus.yml")
# What else has metrics: its port. DCGM's are those of the GPUs.
OTHERS = {"dcgm-exporter": 9400}
# Of the profile alerts; without it the name resolves to nothing, and alerts stay on Prometheus's own page.
ALERTMANAGER_PORT = 9093


def files(root: Path, capabilities: tuple[Capability, ...]) -> dict[Path, str]:
    """The Compose file with its marked parts written anew, and what its Prometheus scrapes."""
    text = (root / FILE).read_text()
    text = _replace(text, "model servers: where they are", _where(capabilities))
    text = _replace(text, "model servers", "".join(_services(c, capabilities) for c in capabilities))
    return {FILE: text, PROMETHEUS: _prometheus(capabilities)}


def scrape_jobs(capabilities: tuple[Capability, ...]) -> dict[str, int]:
    """Metrics ports by the name of the part, which is the name of Prometheus's job, too."""
    own = {
        "gateway": GATEWAY_METRICS_PORT,
        "worker": WORKER_METRICS_PORT,
        "qdrant": QDRANT_METRICS_PORT,
    }
    return {**own, **{c.slug: c.metrics_port for c in capabilities}}


def _prometheus(capabilities: tuple[Capability, ...]) -> str:
    """Each name resolves to every container of a part; one that is not there has no targets."""
    ours = scrape_jobs(capabilities)
    system = [{"target_label": "system", "replacement": "interplay"}]
    jobs = [
        {
            "job_name": name,
            "dns_sd_configs": [{"names": [name], "type": "A", "port": port}],
            **({"relabel_configs": system} if name in ours else {}),
        }
        for name, port in {**ours, **OTHERS}.items()
    ]
    alertmanager = {"names": ["alertmanager"], "type": "A", "port": ALERTMANAGER_PORT}
    settings = {
        "global": {"scrape_interval": "15s", "evaluation_interval": "15s"},
        "rule_files": ["rules.yml"],
        "alerting": {"alertmanagers": [{"dns_sd_configs": [alertmanager]}]},
        "scrape_configs": jobs,
    }
    return HEADER + yaml.safe_dump(settings, sort_keys=False)


def _replace(text: str, part: str, lines: str) -> str:
    """The text with what stands between a part's two marks replaced.

    Raises:
        ValueError: The marks are not there, once each.
    """
    pattern = re.compile(rf"(# <{re.escape(part)}>[^\n]*\n).*?(# </{re.escape(part)}>\n)", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise ValueError(f"{FILE} must have the marks # <{part}> and # </{part}> once each")
    return pattern.sub(lambda match: match[1] + lines + match[2], text)


def _waiting(slug: str) -> list[str]:
    """Conditions of ``depends_on``: only one of a server's two variants is part of a profile."""
    return [f"{name}: {{ condition: service_healthy, required: false }}" for name in (slug, f"{slug}-gpu")]


def _where(capabilities: tuple[Capability, ...]) -> str:
    found = json.dumps({c.name: target(c) for c in capabilities})
    waiting = [line for c in capabilities for line in _waiting(c.slug)]
    return "\n".join(
        [
            "x-servers:",
            f"  addresses: &addresses '{found}'",
            "  all: &all-servers",
            *(f"    {line}" for line in waiting),
            "",
        ]
    )


def _services(capability: Capability, capabilities: tuple[Capability, ...]) -> str:
    """A server for the CPU, and the same for a GPU under the same name in the network."""
    gpu = "{ reservations: { devices: [{ driver: nvidia, count: 1, capabilities: [gpu] }] } }"
    name, slug = capability.name, capability.slug
    environment = {
        "INTERPLAY_RUNTIME": "${INTERPLAY_RUNTIME:-in_process}",
        "INTERPLAY_TORCHSERVE__TARGET": "torchserve:7070",
        "INTERPLAY_TORCHSERVE__KEY_FILE": "/torchserve/key_file.json",
        "INTERPLAY_DRAIN_GRACE_S": f'"{DRAIN_GRACE_S}"',
    }
    called = [c for c in capabilities if c.name in capability.calls]
    if called:
        known = json.dumps({c.name: target(c) for c in called})
        environment["INTERPLAY_CAPABILITY_ADDRESSES"] = f"'{known}'"
    depends = [line for c in called for line in _waiting(c.slug)]
    volumes = ["torchserve:/torchserve:ro"]
    if capability.indexes:
        environment["INTERPLAY_QDRANT_URL"] = "http://qdrant:6333"
        environment["INTERPLAY_QDRANT_API_KEY"] = "${QDRANT_API_KEY:?see the head of docker-compose.yml}"
        environment["INTERPLAY_STATE_DIR"] = "/state"
        volumes.append("index-snapshots:/state")
        depends.append("qdrant: { condition: service_healthy }")
    waiting = "".join(f"      {line}\n" for line in depends)
    return f"""\
  {slug}: &{slug}
    <<: *hardened
    profiles: [cpu]
    build: {{ context: ., target: model-server, args: {{ CAPABILITY: {name} }} }}
    image: interplay-{slug}:{__version__}
    mem_limit: {resources_of(name).limit_mib}m
    environment:
{"".join(f"      {key}: {value}{chr(10)}" for key, value in environment.items())}\
    volumes: [{", ".join(f'"{volume}"' for volume in volumes)}]
    networks: {{ inside: {{ aliases: [{slug}] }} }}
{"    depends_on:" + chr(10) + waiting if depends else ""}\
    healthcheck:
      test: ["CMD", "python", "-m", "interplay.launcher.probe", "grpc", "{name}"]
      interval: 10s
      timeout: 5s
      # With TorchServe it waits until its models are loaded there, which may take minutes.
      start_period: 360s
    stop_grace_period: {STOP_AFTER_S}s

  {slug}-gpu:
    <<: *{slug}
    profiles: [gpu]
    deploy: {{ resources: {gpu} }}

"""
