"""Which parts make up the system, from the capability table and the launcher's settings."""

from __future__ import annotations

import json
import secrets
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from interplay.capabilities import Capability
from interplay.launcher import valkey
from interplay.launcher.ports import free_ports
from interplay.launcher.probes import Probe, grpc_serving, http_ok, torchserve_answers, valkey_answers
from interplay.launcher.settings import LauncherSettings, browsable_host
from interplay.launcher.supervisor import Part
from interplay.launcher.torchserve.extra import check_extra
from interplay.launcher.torchserve.settings import KEY_FILE

# Clients first, servers last: whoever still has work can finish it.
_STOP_GATEWAY, _STOP_WORKER, _STOP_SERVERS, _STOP_TORCHSERVE, _STOP_VALKEY = range(5)


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        parts: In the order in which they come up.
        system_ready: Probe of the whole system: the gateway's ``/readyz``.
    """

    parts: tuple[Part, ...]
    system_ready: Probe


def make_plan(settings: LauncherSettings) -> Plan:
    """Choose ports and lay out the parts. Ports stay the same when a part is restarted.

    Raises:
        NotFound: ``settings.only`` names an unknown capability.
        Unavailable: Valkey is to be embedded, or TorchServe to be started, and is not installed.
    """
    capabilities = settings.capabilities
    ports = iter(free_ports(4 + 2 * len(capabilities)))
    targets = {capability.name: f"127.0.0.1:{next(ports)}" for capability in capabilities}
    parts = []

    redis_url = settings.redis_url
    if settings.embeds_valkey:
        valkey_port, password = next(ports), secrets.token_urlsafe(24)
        redis_url = f"redis://:{password}@127.0.0.1:{valkey_port}/0"
        config = valkey.write_config(settings.state_dir / "valkey", port=valkey_port, password=password)
        parts.append(
            Part(
                name="valkey",
                command=valkey.command(config),
                environment={},
                probe=valkey_answers(valkey_port, password),
                where=f"127.0.0.1:{valkey_port}",
                stop_rank=_STOP_VALKEY,
                start_timeout_s=60,
                grace_s=10,
            )
        )
    broker = tuple(part.name for part in parts)

    common = {
        "INTERPLAY_LOG_LEVEL": settings.log_level,
        "INTERPLAY_LOG_FORMAT": settings.log_format,
        "INTERPLAY_METRICS_HOST": "127.0.0.1",
    }
    state = {
        **common,
        "INTERPLAY_STATE_DIR": str(settings.state_dir),
        "INTERPLAY_REDIS_URL": redis_url,
        "INTERPLAY_DATASET_ROOTS": ",".join(settings.dataset_roots),
        "INTERPLAY_CAPABILITY_ADDRESSES": json.dumps(targets),
    }
    if settings.database_url:
        state["INTERPLAY_DATABASE_URL"] = settings.database_url

    runtime: dict[str, str] = {"INTERPLAY_RUNTIME": settings.runtime}
    remote = settings.runtime == "torchserve"
    if remote:
        part, runtime = _torchserve(settings, capabilities, next(ports), common)
        parts.append(part)

    for capability in capabilities:
        host, port = targets[capability.name].split(":")
        metrics_port = next(ports)
        parts.append(
            Part(
                name=capability.name,
                command=_python(capability.module),
                environment={
                    **common,
                    "INTERPLAY_HOST": host,
                    "INTERPLAY_PORT": port,
                    "INTERPLAY_METRICS_PORT": str(metrics_port),
                    "INTERPLAY_DEVICE": settings.device,
                    "INTERPLAY_STATE_DIR": str(settings.state_dir),
                    "INTERPLAY_CAPABILITY_ADDRESSES": json.dumps(targets),
                    **runtime,
                },
                needs=("torchserve",) if remote else (),
                probe=grpc_serving(capability, targets[capability.name]),
                where=f"{host}:{port}, metrics {metrics_port}",
                stop_rank=_STOP_SERVERS,
            )
        )

    worker_metrics_port = next(ports)
    parts.append(
        Part(
            name="worker",
            command=_python("services.worker"),
            environment={**state, "INTERPLAY_METRICS_PORT": str(worker_metrics_port)},
            probe=http_ok("127.0.0.1", worker_metrics_port, "/metrics"),
            where=f"metrics {worker_metrics_port}",
            needs=broker,
            stop_rank=_STOP_WORKER,
        )
    )

    gateway_metrics_port = next(ports)
    gateway_address = browsable_host(settings.host).strip("[]")
    parts.append(
        Part(
            name="gateway",
            command=_python("gateway"),
            environment={
                **state,
                "INTERPLAY_HOST": settings.host,
                "INTERPLAY_PORT": str(settings.port),
                "INTERPLAY_METRICS_PORT": str(gateway_metrics_port),
            },
            probe=http_ok(gateway_address, settings.port, "/livez"),
            where=f"{settings.host}:{settings.port}, metrics {gateway_metrics_port}",
            needs=broker,
            stop_rank=_STOP_GATEWAY,
        )
    )
    return Plan(tuple(parts), http_ok(gateway_address, settings.port, "/readyz"))


def _torchserve(
    settings: LauncherSettings, capabilities: Sequence[Capability], port: int, common: dict[str, str]
) -> tuple[Part, dict[str, str]]:
    """The part, and what model servers must know of it."""
    check_extra()
    directory, target = settings.state_dir / "torchserve", f"127.0.0.1:{port}"
    part = Part(
        name="torchserve",
        command=_python("interplay.launcher.torchserve"),
        environment={
            **common,
            "INTERPLAY_TORCHSERVE_DIR": str(directory),
            "INTERPLAY_TORCHSERVE_PORT": str(port),
            "INTERPLAY_TORCHSERVE_CAPABILITIES": ",".join(c.name for c in capabilities),
            "INTERPLAY_DEVICE": settings.device,
        },
        probe=torchserve_answers(target, directory / KEY_FILE),
        where=target,
        stop_rank=_STOP_TORCHSERVE,
        start_timeout_s=600,
    )
    servers = {
        "INTERPLAY_RUNTIME": "torchserve",
        "INTERPLAY_TORCHSERVE__TARGET": target,
        "INTERPLAY_TORCHSERVE__KEY_FILE": str(directory / KEY_FILE),
    }
    return part, servers


def _python(module: str) -> tuple[str, ...]:
    # -P: a folder of the user's that happens to be called "gateway" must not be taken for ours.
    return (sys.executable, "-P", "-m", module)
