"""A real Prometheus scrapes the running system with the rules that are deployed, and every panel has data.

Two parts are played by stand-ins, which tell what the real ones tell in the same words: dcgm-exporter with a
GPU's model server, and a Qdrant server (here indexes are embedded). There need not be either here.
"""

from __future__ import annotations

import http.server
import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from interplay.capabilities import CAPABILITIES
from interplay.launcher.ports import free_port
from tests.conftest import REPOSITORY_ROOT, wait_until
from tests.e2e.system import System, street_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

FOLDER = REPOSITORY_ROOT / "k8s/components/monitoring"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))
_GPU = 'gpu="0",UUID="GPU-1",device="nvidia0",modelName="NVIDIA H100",Hostname="node"'
GPU_TEXT = "\n".join(
    [
        f"DCGM_FI_DEV_GPU_UTIL{{{_GPU}}} 41",
        f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{{{_GPU}}} 0.38",
        f"DCGM_FI_PROF_PIPE_TENSOR_ACTIVE{{{_GPU}}} 0.12",
        f"DCGM_FI_DEV_FB_USED{{{_GPU}}} 9000",
        f"DCGM_FI_DEV_FB_FREE{{{_GPU}}} 71000",
        f"DCGM_FI_DEV_POWER_USAGE{{{_GPU}}} 210.5",
        f"DCGM_FI_DEV_GPU_TEMP{{{_GPU}}} 51",
        f"DCGM_FI_DEV_XID_ERRORS{{{_GPU}}} 0",
        'interplay_gpu_memory_allocated_bytes{device="cuda:0"} 4.1e8',
        'interplay_gpu_memory_reserved_bytes{device="cuda:0"} 6.1e8',
        'interplay_gpu_oom_total{device="cuda:0"} 0',
        "",
    ]
)


_QUERY = 'method="POST",endpoint="/collections/{collection_name}/points/query",status="200"'
QDRANT_TEXT = "\n".join(
    [
        'collection_points{id="watched"} 3',
        'collection_running_optimizations{id="watched"} 0',
        "collection_dead_replicas 0",
        'snapshot_creation_running{id="watched"} 0',
        "memory_resident_bytes 1.2e8",
        f"rest_responses_total{{{_QUERY}}} @",
        *(
            f'rest_responses_duration_seconds_bucket{{{_QUERY},le="{le}"}} @'
            for le in ("0.001", "0.01", "+Inf")
        ),
        "",
    ]
)


class StandIn(http.server.BaseHTTPRequestHandler):
    """Answers as dcgm-exporter does; another text for others. ``@`` is a counter that grows."""

    text = GPU_TEXT
    asked = 0

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
        self.end_headers()
        type(self).asked += 1
        self.wfile.write(self.text.replace("@", str(self.asked)).encode())

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class QdrantStandIn(StandIn):
    """Answers as Qdrant 1.20 does at its metrics port."""

    text = QDRANT_TEXT
    asked = 0


class Prometheus:
    """A Prometheus server of our own."""

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("prometheus is not installed (Debian's package): panels were not tried on real data")
        shutil.copy(FOLDER / "rules.yml", folder)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.log = folder / "prometheus.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    program,
                    f"--config.file={folder / 'prometheus.yml'}",
                    f"--storage.tsdb.path={folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{port}",
                ],
                stdout=log,
                stderr=log,
            )
        wait_until(self._ready, timeout_s=60, what="Prometheus is ready")

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Samples of an instant query."""
        answer = httpx.get(
            f"{self.url}/api/v1/query", params={"query": expression}, trust_env=False, timeout=30
        ).json()
        assert answer["status"] == "success", answer
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


def metrics_port(system: System, module: str) -> int:
    """Where a part of the running system offers its metrics."""
    environment = Path(f"/proc/{system.part_pid(module)}/environ").read_text().split("\0")
    (value,) = [v for v in environment if v.startswith("INTERPLAY_METRICS_PORT=")]
    return int(value.partition("=")[2])


@pytest.fixture(scope="module")
def prometheus(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Compose's Prometheus, with the addresses of this machine's parts instead of Compose's names."""
    settings = yaml.safe_load((REPOSITORY_ROOT / "deploy/prometheus.yml").read_text())
    settings["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    del settings["alerting"]  # there is none here
    stand_ins = {
        job: http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        for job, handler in {"dcgm-exporter": StandIn, "qdrant": QdrantStandIn}.items()
    }
    for stand_in in stand_ins.values():
        threading.Thread(target=stand_in.serve_forever, daemon=True).start()
    modules = {"gateway": "gateway", "worker": "services.worker", **{c.slug: c.module for c in CAPABILITIES}}
    ports = {name: metrics_port(system, module) for name, module in modules.items()}
    ports |= {job: stand_in.server_address[1] for job, stand_in in stand_ins.items()}
    for job in settings["scrape_configs"]:
        del job["dns_sd_configs"]
        if job["job_name"] in ports:
            job["static_configs"] = [{"targets": [f"127.0.0.1:{ports[job['job_name']]}"]}]
    server = Prometheus(tmp_path_factory.mktemp("prometheus"), settings)
    yield server
    server.stop()
    for stand_in in stand_ins.values():
        stand_in.shutdown()
        stand_in.server_close()


def use_everything(system: System) -> None:
    """Some traffic for every dashboard: requests, errors, searches, a job."""
    photos = system.state.parent / "photos"
    (photos / "seen").mkdir(exist_ok=True)
    for number, word in enumerate(("BOOKS", "LUNA", "OPEN")):
        (photos / "seen" / f"{number}.jpg").write_bytes(street_photo(word))
    with httpx.Client(base_url=system.url, timeout=120, trust_env=False) as client:
        for _ in range(2):
            image = {"image": ("photo.jpg", street_photo("HARBOUR"))}
            assert client.post("/v1/text:read", files=image).status_code == 200
            assert client.post("/v1/locations:tag", files=image, data={"at": "41.4,2.2"}).status_code == 200
            assert client.post("/v1/text:read", files={"image": ("a.jpg", b"nothing")}).status_code >= 400
        job = {
            "kind": "build_index",
            "params": {"index": "watched", "input": "seen", "output": "built", "overwrite": True},
        }
        answer = client.post("/v1/jobs", json=job)
        assert answer.status_code == 202, answer.text
        where = f"/v1/jobs/{answer.json()['id']}"
        wait_until(lambda: client.get(where).json()["state"] in ("succeeded", "failed"), timeout_s=120)
        assert client.get(where).json()["state"] == "succeeded", client.get(where).text
        for _ in range(2):
            found = client.post("/v1/search", json={"index": "watched", "query": "street"})
            assert found.status_code == 200, found.text


def test_every_panel_has_data_and_no_alert_is_wrong(system: System, prometheus: Prometheus) -> None:
    jobs = {"gateway", "worker", "qdrant", *(c.slug for c in CAPABILITIES)}
    wait_until(
        lambda: {s["metric"]["job"] for s in prometheus.query('up{system="interplay"} == 1')} == jobs,
        timeout_s=60,
        what="all parts are scraped",
    )
    use_everything(system)  # series are born
    time.sleep(3)
    use_everything(system)  # and grow
    time.sleep(5)
    empty = []
    for file in DASHBOARDS:
        for panel in json.loads(file.read_text())["panels"]:
            for target in panel["targets"]:
                query = target["expr"].replace("$__rate_interval", "5m").replace("$capability", ".*")
                samples = prometheus.query(query)
                if not samples or all(s["value"][1] == "NaN" for s in samples):
                    empty.append(f"{file.stem}: {panel['title']}: {query}")
    assert empty == []
    health = httpx.get(f"{prometheus.url}/api/v1/rules", trust_env=False).json()["data"]["groups"]
    assert {rule["health"] for group in health for rule in group["rules"]} == {"ok"}
    firing = {s["metric"]["alertname"] for s in prometheus.query('ALERTS{alertstate="firing"}')}
    assert firing == set()
    searched = prometheus.query('interplay_index_entries{job="embedding", index="watched"}')
    assert [sample["value"][1] for sample in searched] == ["3"]
    assert httpx.delete(f"{system.url}/v1/indexes/watched", trust_env=False).status_code == 204
