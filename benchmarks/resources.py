"""Memory and processor of every part under load: where the requests of the Kubernetes manifests come from.

    python -m benchmarks.resources --seconds 30 --out deploy/resources.json && python -m deploy.generate

Each capability is loaded for itself, by callers that send the next request when they have their answer; a job
that filters images is the load of the worker. Peak memory is the kernel's high-water mark, from the start of
the process, so it has model loading in it. Processor is the time that each thread ran, of the time in which
nobody else kept it from running (the kernel counts that), so other programs on the machine disturb it little.
"""

from __future__ import annotations

import argparse
import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.photos import held_out_photos
from benchmarks.report import machine, print_table
from benchmarks.stack import running_system
from interplay.capabilities import CAPABILITIES
from interplay.settings import available_cores

# Some requests of each capability: a path, and the fields of its form beside the image. One that is not named
# here is measured idle.
LOADS: dict[str, tuple[str, dict[str, str]]] = {
    "text_detection": ("/v1/text:read", {}),
    "style_transfer": ("/v1/style:transfer", {"style": "white-on-azure"}),
    "embedding": ("/v1/embeddings", {}),
    "locsens": ("/v1/locations:tag", {"at": "41.38,2.17"}),
    # With the words of the image: else the text detection server reads it, and this one waits.
    "hate_classifier": ("/v1/posts:classify", {"text": "what a day", "image_text": "none at all"}),
}
CALLERS = 8


def main() -> None:
    """Measure, print, and write what the generators read."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=30.0, help="of load for each capability")
    parser.add_argument("--out", type=Path, help="JSON file to write, such as deploy/resources.json")
    options = parser.parse_args()
    photos = held_out_photos(16)
    with TemporaryDirectory() as folder:
        images = Path(folder) / "images"
        images.mkdir()
        for number in range(160):
            (images / f"{number}.jpg").write_bytes(photos[number % len(photos)])
        with running_system("--root", folder) as (url, launcher):
            figures = measure(url, launcher, photos, options.seconds)
    print_table("resources", [{"part": name, **figure} for name, figure in figures.items()])
    if options.out:
        options.out.write_text(json.dumps({"measured_on": machine(), "parts": figures}, indent=2) + "\n")


def measure(url: str, launcher: int, photos: list[bytes], seconds: float) -> dict[str, dict[str, float]]:
    """Cores used and peak MiB by part."""
    parts = {"gateway": "gateway", "worker": "services.worker", **{c.name: c.module for c in CAPABILITIES}}
    pids = {name: find(launcher, module) for name, module in parts.items()}
    cores = dict.fromkeys(parts, 0.0)

    def watch(load: Callable[[], object]) -> None:
        """Keep the most that each part used under any of the loads."""
        started, before = time.monotonic(), {name: thread_times(pid) for name, pid in pids.items()}
        load()
        passed = time.monotonic() - started
        for name, pid in pids.items():
            cores[name] = max(cores[name], cores_used(before[name], thread_times(pid), passed))

    for capability in CAPABILITIES:
        if capability.name not in LOADS:
            print(f"{capability.name}: no load is known here; measured idle")
            continue
        path, fields = LOADS[capability.name]
        watch(lambda path=path, fields=fields: closed_loop(f"{url}{path}", photos, fields, seconds))
    watch(lambda: filter_images(url))
    return {
        name: {"cpu_cores": round(cores[name], 2), "peak_mib": round(peak_mib(pid))}
        for name, pid in pids.items()
    }


def closed_loop(url: str, photos: list[bytes], fields: dict[str, str], seconds: float) -> None:
    """So many callers for so long.

    Raises:
        RuntimeError: No request was answered as it should be.
    """
    ends = time.monotonic() + seconds
    codes: list[int] = []

    def caller(number: int) -> None:
        with httpx.Client(timeout=120, trust_env=False) as client:
            while time.monotonic() < ends:
                photo = photos[(number + len(codes)) % len(photos)]
                if url.endswith("/embeddings"):
                    answer = client.post(url, json=embeddings_body(photo))
                else:
                    answer = client.post(url, data=fields, files={"image": ("photo.jpg", photo)})
                codes.append(answer.status_code)

    with ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(caller, range(CALLERS)))
    if 200 not in codes:
        raise RuntimeError(f"{url} answered {sorted(set(codes))}")


def embeddings_body(photo: bytes) -> dict[str, Any]:
    """Body of a request for a photo's vector."""
    return {"images": [{"content": base64.b64encode(photo).decode()}]}


def filter_images(url: str) -> None:
    """A job over the images, to its end."""
    params = {"input": "images", "output": "filtered", "rule": {"threshold": 0.01}}
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        answer = client.post("/v1/jobs", json={"kind": "filter_text_images", "params": params})
        answer.raise_for_status()
        where = f"/v1/jobs/{answer.json()['id']}"
        while client.get(where).json()["state"] in ("queued", "running"):
            time.sleep(0.5)
        if (state := client.get(where).json()["state"]) != "succeeded":
            raise RuntimeError(f"the job {state}")


def find(launcher: int, module: str) -> int:
    """Process id of the launcher's descendant that runs a module."""
    parents, found = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (folder / "cmdline").read_text().split("\0")[-2:-1] == [module]:
                found.append(int(folder.name))
        except (OSError, ValueError, IndexError):
            continue
    for pid in found:
        ancestor = pid
        while ancestor not in (0, 1, launcher):
            ancestor = parents.get(ancestor, 0)
        if ancestor == launcher:
            return pid
    raise RuntimeError(f"no descendant of {launcher} runs {module}")


def thread_times(pid: int) -> dict[str, tuple[float, float]]:
    """Seconds that each thread of a process ran, and waited for a core, so far."""
    times = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            ran, waited, _ = (task / "schedstat").read_text().split()
        except OSError:  # it has ended
            continue
        times[task.name] = int(ran) / 1e9, int(waited) / 1e9
    return times


def cores_used(
    before: dict[str, tuple[float, float]], after: dict[str, tuple[float, float]], passed: float
) -> float:
    """Cores that a process would have used with nobody else on the machine, at most those there are."""
    used = 0.0
    for task, (ran, waited) in after.items():
        ran_before, waited_before = before.get(task, (0.0, 0.0))
        used += (ran - ran_before) / max(passed - (waited - waited_before), ran - ran_before, 1e-3)
    return min(used, available_cores())


def peak_mib(pid: int) -> float:
    """Most memory that a process ever had."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    main()
