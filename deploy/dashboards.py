"""Grafana's dashboards, as plain data: rate, errors and duration, the batchers, jobs, indexes and GPUs.

Queries pick parts by ``job``, which is the part's name in Compose and in Kubernetes alike, so a new
capability is on the dashboards by itself. Tests run every query against a Prometheus that scrapes the running
system.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path("k8s/components/monitoring/dashboards")
Panel = dict[str, Any]
_WIDTH, _HEIGHT, _PER_ROW = 8, 8, 3
_DATASOURCE = {"type": "prometheus", "uid": "prometheus"}


def graph(title: str, unit: str, *queries: tuple[str, str], text: str = "") -> Panel:
    """A panel of curves.

    Args:
        title: Above it.
        unit: Grafana's name of the unit.
        queries: PromQL and the legend of each.
        text: What to look for in it.
    """
    return {
        "type": "timeseries",
        "title": title,
        "description": text,
        "datasource": _DATASOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"tooltip": {"mode": "multi"}, "legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + n), "datasource": _DATASOURCE, "expr": expr, "legendFormat": legend}
            for n, (expr, legend) in enumerate(queries)
        ],
    }


def quantiles(metric: str, by: str, where: str = "") -> list[tuple[str, str]]:
    """Median, 95th and 99th percentile of a histogram, one curve each for every value of a label."""
    buckets = f"sum by (le, {by}) (rate({metric}_bucket{{{where}}}[$__rate_interval]))"
    return [
        (f"histogram_quantile({q}, {buckets})", f"{{{{{by}}}}} p{q * 100:.0f}") for q in (0.5, 0.95, 0.99)
    ]


def rate(metric: str, by: str, where: str = "") -> str:
    """How much a counter grows a second, by some labels."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[$__rate_interval]))"


def mean(metric: str, by: str, where: str = "") -> tuple[str, str]:
    """Mean of a histogram's observations by a label, and its legend."""
    return f"{rate(f'{metric}_sum', by, where)} / {rate(f'{metric}_count', by, where)}", f"{{{{{by}}}}}"


def dashboard(uid: str, title: str, panels: list[Panel], variable: tuple[str, str] | None = None) -> Panel:
    """A dashboard, its panels laid out three in a row.

    Args:
        uid: In its address.
        title: Its name.
        panels: In reading order.
        variable: Name of a choice and the metric whose ``job`` labels are its values.
    """
    for number, panel in enumerate(panels):
        column, row = number % _PER_ROW, number // _PER_ROW
        panel["id"] = number + 1
        panel["gridPos"] = {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT}
    choices = []
    if variable:
        name, metric = variable
        choices.append(
            {
                "name": name,
                "type": "query",
                "datasource": _DATASOURCE,
                "query": {"query": f"label_values({metric}, job)", "refId": name},
                "refresh": 2,
                "multi": True,
                "includeAll": True,
                "current": {"text": "All", "value": "$__all"},
            }
        )
    return {
        "uid": f"interplay-{uid}",
        "title": f"Interplay: {title}",
        "tags": ["interplay"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": choices},
        "panels": panels,
    }


def requests() -> Panel:
    """Rate, errors and duration of the gateway and of each capability."""
    http = "interplay_http_request"
    grpc, own = "interplay_grpc_server", 'job=~"$capability"'
    panels = [
        graph(
            "Requests a second, by route",
            "reqps",
            (rate(f"{http}s_total", "route"), "{{route}}"),
        ),
        graph(
            "Answers a second, by class",
            "reqps",
            (rate(f"{http}s_total", "code"), "{{code}}"),
            text="4xx are the callers' mistakes and refusals (429), 5xx ours.",
        ),
        graph(
            "Errors (5xx), part of all answers",
            "percentunit",
            ("interplay:http_errors:ratio5m", "5 minutes"),
            ("interplay:http_errors:ratio1h", "1 hour"),
        ),
        graph("Duration by route", "s", *quantiles(f"{http}_duration_seconds", "route")),
        graph(
            "In progress, and refused at the door",
            "short",
            ("sum(interplay_http_inflight_requests)", "in progress"),
            (
                "sum(rate(interplay_rate_limited_total[$__rate_interval])) or vector(0)",
                "rate limit, a second",
            ),
            ("sum(rate(interplay_auth_failures_total[$__rate_interval])) or vector(0)", "keys, a second"),
        ),
        graph("Parts that answer", "short", ('sum by (job) (up{system="interplay"})', "{{job}}")),
        graph(
            "Calls a second, by capability",
            "reqps",
            (
                f"sum by (job, method) (rate({grpc}_handled_total{{{own}}}[$__rate_interval]))",
                "{{job}} {{method}}",
            ),
        ),
        graph(
            "Calls that fail, by code",
            "reqps",
            (
                f'sum by (job, code) (rate({grpc}_handled_total{{{own}, code!="OK"}}[$__rate_interval]))'
                f" or sum by (job) (0 * rate({grpc}_handled_total{{{own}}}[$__rate_interval]))",
                "{{job}} {{code}}",
            ),
            text="RESOURCE_EXHAUSTED: full. UNAVAILABLE: starting or stopping. INTERNAL: a fault of ours.",
        ),
        graph("Duration by capability", "s", *quantiles(f"{grpc}_handling_seconds", "job", own)),
    ]
    return dashboard("requests", "requests", panels, ("capability", "interplay_model_ready"))


def models() -> Panel:
    """What the batchers do."""
    own = 'job=~"$capability"'
    stage = "interplay_inference_stage_seconds"
    panels = [
        graph(
            "Waiting for a batch",
            "short",
            (f"sum by (job, model) (interplay_inference_queue_depth{{{own}}})", "{{model}}"),
            text="The autoscaler adds a replica where this stays above four for each.",
        ),
        graph(
            "Admitted: waiting or running",
            "short",
            (f"sum by (job, model) (interplay_inference_inflight{{{own}}})", "{{model}}"),
        ),
        graph(
            "Items a second, by outcome",
            "short",
            (rate("interplay_inference_requests_total", "model, outcome", own), "{{model}} {{outcome}}"),
            text="rejected: full. cancelled, deadline: dropped before inference. error: the model failed.",
        ),
        graph("Where the time goes, mean by stage", "s", mean(stage, "stage", own)),
        graph("Waiting, by model", "s", *quantiles(stage, "model", f'{own}, stage="queue"')),
        graph("Inference, by model", "s", *quantiles(stage, "model", f'{own}, stage="infer"')),
        graph("Items in a batch, mean", "short", mean("interplay_inference_batch_size", "model", own)),
        graph(
            "Padding, mean part of a batch",
            "percentunit",
            mean("interplay_inference_batch_padding_ratio", "model", own),
        ),
        graph(
            "Ready, by model and version",
            "short",
            (
                f"sum by (model, version, device) (interplay_model_info{{{own}}}"
                " * on (instance, model) group_left () interplay_model_ready)",
                "{{model}} {{version}} on {{device}}",
            ),
        ),
        graph(
            "Load and warm-up", "s", (f"max by (model) (interplay_model_load_seconds{{{own}}})", "{{model}}")
        ),
        graph(
            "Memory of a server",
            "bytes",
            (f"max by (job) (process_resident_memory_bytes{{{own}}})", "{{job}}"),
        ),
        graph(
            "Processor, cores",
            "short",
            (f"sum by (job) (rate(process_cpu_seconds_total{{{own}}}[$__rate_interval]))", "{{job}}"),
        ),
    ]
    return dashboard("models", "models and batchers", panels, ("capability", "interplay_model_ready"))


def jobs() -> Panel:
    """The job table and the workers."""
    panels = [
        graph("Queued or running", "short", ("interplay:jobs_backlog:sum", "jobs")),
        graph(
            "Longest wait",
            "s",
            ("max(interplay_job_oldest_queued_seconds)", "oldest queued"),
            ("max(interplay_worker_heartbeat_age_seconds)", "oldest heartbeat"),
            text="A heartbeat older than 30 s: its worker is gone, and another should take over.",
        ),
        graph("Workers that answer", "short", ('sum(up{job="worker"})', "workers")),
        graph(
            "Jobs an hour, by end",
            "short",
            (
                "3600 * sum by (kind, state) (rate(interplay_jobs_total[$__rate_interval]))",
                "{{kind}} {{state}}",
            ),
        ),
        graph(
            "Starts an hour",
            "short",
            ("3600 * sum by (kind) (rate(interplay_job_attempts_total[$__rate_interval]))", "{{kind}}"),
            text="More starts than ends: jobs are lost and taken over again.",
        ),
        graph("Duration by kind", "s", *quantiles("interplay_job_duration_seconds", "kind")),
    ]
    return dashboard("jobs", "jobs", panels)


def indexes() -> Panel:
    """Indexes and searches in them."""
    panels = [
        graph(
            "Entries by index",
            "short",
            ("max by (job, index) (interplay_index_entries)", "{{job}} {{index}}"),
        ),
        graph(
            "Searches a second, by plan",
            "reqps",
            (
                "sum by (job, plan) (rate(interplay_index_search_seconds_count[$__rate_interval]))",
                "{{job}} {{plan}}",
            ),
            text="exact: all that pass the filter were compared. graph: candidates of the HNSW graph.",
        ),
        graph("Duration of searches, by plan", "s", *quantiles("interplay_index_search_seconds", "plan")),
        graph("Duration of publishing", "s", *quantiles("interplay_index_publish_seconds", "job")),
        graph(
            "Upserts a second",
            "reqps",
            (rate("interplay_grpc_server_handled_total", "job", 'method=~"Upsert.*"'), "{{job}}"),
        ),
        *_qdrant(),
    ]
    return dashboard("indexes", "indexes", panels)


def _qdrant() -> list[Panel]:
    """What a Qdrant says of itself; without one these panels are empty."""
    own = 'job="qdrant"'
    return [
        graph(
            "Qdrant: points of a collection, by member",
            "short",
            (f"sum by (instance, id) (collection_points{{{own}}})", "{{id}} at {{instance}}"),
            text="In a cluster every shard is there twice, so members together have twice the points.",
        ),
        graph(
            "Qdrant: answers a second, by status",
            "reqps",
            (rate("rest_responses_total", "status", own), "{{status}}"),
        ),
        graph(
            "Qdrant: duration by endpoint",
            "s",
            *quantiles("rest_responses_duration_seconds", "endpoint", own),
        ),
        graph(
            "Qdrant: memory of a member",
            "bytes",
            (f"max by (instance) (memory_resident_bytes{{{own}}})", "{{instance}}"),
        ),
        graph(
            "Qdrant: at work, and away",
            "short",
            (f"sum(collection_running_optimizations{{{own}}})", "optimisations"),
            (f"sum(snapshot_creation_running{{{own}}})", "snapshots"),
            (f"max(collection_dead_replicas{{{own}}})", "shards with a dead replica"),
            text="Optimisations run after a build, and searches are slower meanwhile.",
        ),
    ]


def gpus() -> Panel:
    """Figures of dcgm-exporter, and what the servers say of their memory."""
    panels = [
        graph("Busy", "percent", ("DCGM_FI_DEV_GPU_UTIL", "{{Hostname}} {{gpu}}")),
        graph(
            "Compute engine active",
            "percentunit",
            ("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "{{Hostname}} {{gpu}}"),
            text="Busy says only that a kernel ran; this says how much of the time.",
        ),
        graph(
            "Tensor cores active", "percentunit", ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "{{Hostname}} {{gpu}}")
        ),
        graph(
            "Memory, part that is used",
            "percentunit",
            ("DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)", "{{Hostname}} {{gpu}}"),
        ),
        graph(
            "Memory of a server",
            "bytes",
            ("max by (job, device) (interplay_gpu_memory_allocated_bytes)", "{{job}} tensors"),
            ("max by (job, device) (interplay_gpu_memory_reserved_bytes)", "{{job}} reserved"),
        ),
        graph(
            "Out of memory",
            "short",
            ("sum by (job) (increase(interplay_gpu_oom_total[1h]))", "{{job}}, last hour"),
        ),
        graph("Power", "watt", ("DCGM_FI_DEV_POWER_USAGE", "{{Hostname}} {{gpu}}")),
        graph("Temperature", "celsius", ("DCGM_FI_DEV_GPU_TEMP", "{{Hostname}} {{gpu}}")),
        graph("Faults (XID)", "short", ("DCGM_FI_DEV_XID_ERRORS", "{{Hostname}} {{gpu}}")),
    ]
    return dashboard("gpus", "GPUs", panels)


def files() -> dict[Path, str]:
    """The dashboards as JSON, by path."""
    made = {"requests": requests, "models": models, "jobs": jobs, "indexes": indexes, "gpus": gpus}
    return {FOLDER / f"{name}.json": json.dumps(make(), indent=1) + "\n" for name, make in made.items()}
