"""Rules, alerts and dashboards: right by promtool, about metrics that exist, and each alert explained."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

from deploy.compose import scrape_jobs
from deploy.kubernetes import QDRANT_METRICS_PORT
from interplay.capabilities import CAPABILITIES, GATEWAY_METRICS_PORT, WORKER_METRICS_PORT
from interplay.telemetry import metrics
from tests.conftest import REPOSITORY_ROOT

FOLDER = REPOSITORY_ROOT / "k8s/components/monitoring"
GROUPS: list[dict[str, Any]] = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
RULES = [rule for group in GROUPS for rule in group["rules"]]
ALERTS = [rule for rule in RULES if "alert" in rule]
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
# Those of Qdrant's own /metrics that are used.
QDRANT = {
    "collection_dead_replicas",
    "collection_points",
    "collection_running_optimizations",
    "memory_resident_bytes",
    "rest_responses_duration_seconds_bucket",
    "rest_responses_total",
    "snapshot_creation_running",
}
# Those of dcgm-exporter's default-counters.csv that are used, and those that every process exports.
OTHERS = {
    "DCGM_FI_DEV_FB_FREE",
    "DCGM_FI_DEV_FB_USED",
    "DCGM_FI_DEV_GPU_TEMP",
    "DCGM_FI_DEV_GPU_UTIL",
    "DCGM_FI_DEV_POWER_USAGE",
    "DCGM_FI_DEV_XID_ERRORS",
    "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
}


def promtool(*arguments: str) -> None:
    """Run it in the folder of the rules; its complaints fail the test."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip(
            f"promtool is not installed (Debian's package prometheus): not run: {' '.join(arguments)}"
        )
    done = subprocess.run([program, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


def panel_queries() -> list[str]:
    """Queries of all panels."""
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    return [target["expr"] for b in boards for panel in b["panels"] for target in panel["targets"]]


def exported() -> set[str]:
    """Names of all series that our processes export."""
    found = set()
    for metric in vars(metrics).values():
        if hasattr(metric, "_name"):
            kind, name = metric._type, metric._name
            suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
            found |= {name + suffix for suffix in suffixes.get(kind, [""])}
    return found


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", "rules.yml")


def test_promtool_sees_every_alert_fire_and_none_in_a_healthy_system() -> None:
    promtool("test", "rules", "rules_test.yml")


def test_promtool_takes_what_compose_scrapes() -> None:
    promtool("check", "config", "--syntax-only", str(REPOSITORY_ROOT / "deploy/prometheus.yml"))


def test_every_alert_is_tested() -> None:
    tests = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
    fired = {
        case["alertname"] for test in tests for case in test.get("alert_rule_test", []) if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in ALERTS}


def test_queries_are_about_metrics_that_exist() -> None:
    recorded = {rule["record"] for rule in RULES if "record" in rule}
    for query in [rule["expr"] for rule in RULES] + panel_queries():
        plain = re.sub(r'"[^"]*"', "", query)
        assert set(re.findall(r"interplay:[\w:]+", plain)) <= recorded, query
        plain = re.sub(r"interplay:[\w:]+", "", plain)
        assert set(re.findall(r"\binterplay_\w+", plain)) <= exported(), query
        assert set(re.findall(r"\b(?:DCGM|process)_\w+", plain)) <= OTHERS, query
        theirs = set(re.findall(r"\b(?:collections?|memory|rest|grpc|snapshot|cluster)_\w+", plain))
        assert theirs <= QDRANT, query
        assert not theirs or 'job="qdrant"' in query, "their names are nobody's own: say whose"


def test_every_metric_is_looked_at() -> None:
    looked_at = " ".join([rule["expr"] for rule in RULES] + panel_queries())
    # Told, not watched: the version, and images fetched by address, which is off by default.
    left = {"interplay_build", "interplay_fetch", "interplay_fetch_bytes"}
    names = {m._name for m in vars(metrics).values() if hasattr(m, "_name")}
    assert {name for name in names - left if name not in looked_at} == set()


def test_every_alert_has_its_section_in_the_operations_guide() -> None:
    guide = (REPOSITORY_ROOT / "docs/operations.md").read_text()
    headings = set(re.findall(r"^#+ (.+)$", guide, re.MULTILINE))
    anchors = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("critical", "warning") and rule["annotations"]["summary"]
        file, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert file == "docs/operations.md" and anchor == rule["alert"].lower()
        assert anchor in anchors, f"docs/operations.md says nothing of {rule['alert']}"
    assert {h for h in headings if re.fullmatch("Interplay[A-Z]\\w+", h)} == {r["alert"] for r in ALERTS}


def test_compose_scrapes_every_part_at_its_port() -> None:
    settings = yaml.safe_load((REPOSITORY_ROOT / "deploy/prometheus.yml").read_text())
    ports = {job["job_name"]: job["dns_sd_configs"][0]["port"] for job in settings["scrape_configs"]}
    own = {"gateway": GATEWAY_METRICS_PORT, "worker": WORKER_METRICS_PORT, "qdrant": QDRANT_METRICS_PORT}
    assert ports.items() >= {**own, **{c.slug: c.metrics_port for c in CAPABILITIES}}.items()
    for job in settings["scrape_configs"]:
        assert job["dns_sd_configs"][0]["names"] == [job["job_name"]]
        if job["job_name"] in scrape_jobs(CAPABILITIES):
            assert {"target_label": "system", "replacement": "interplay"} in job["relabel_configs"]


def test_dashboards_use_the_provisioned_source() -> None:
    sources = yaml.safe_load((REPOSITORY_ROOT / "deploy/grafana/datasource.yml").read_text())["datasources"]
    boards = [json.loads(file.read_text()) for file in DASHBOARDS]
    assert len({board["uid"] for board in boards}) == len(boards) == 5
    for board in boards:
        assert all(panel["datasource"]["uid"] == sources[0]["uid"] for panel in board["panels"])
        assert all(panel["targets"] and panel["title"] for panel in board["panels"])
