"""How busy the augmentation job keeps the style servers, and what a second replica brings.

    python -m benchmarks.augmentation --photos 24

One text detection server and one or two style servers with one thread each run as processes of
their own; the job ``augment_dataset`` runs over held-out ICDAR 2015 photos as a worker would run
it. Busy is the part of the wall time in which a server's network was at work, from its own metrics.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, perf_counter, sleep

from benchmarks.report import machine, print_table, write
from interplay.capabilities import get_capability
from interplay.datasets import Datasets
from interplay.jobs.augment_dataset import KIND
from interplay.jobs.work import DoneUnit, JobContext, ModelServers
from interplay.launcher.ports import free_ports
from interplay.rpc.clients import SyncModelServerClient
from training.text_detection.paths import data_dir
from training.text_detection.split import load_part

_READY_S = 180.0
_BUSY = re.compile(r'interplay_inference_stage_seconds_sum\{model="style-[a-z]+",stage="infer"\} (\S+)')


@dataclass(frozen=True)
class Server:
    """A running model server."""

    target: str
    metrics_url: str

    def busy_s(self) -> float:
        """Seconds its style networks have been at work."""
        with urllib.request.urlopen(self.metrics_url, timeout=5) as answer:
            return sum(float(value) for value in _BUSY.findall(answer.read().decode()))


@contextmanager
def server(name: str, addresses: dict[str, str]) -> Iterator[Server]:
    """Start a model server with one thread and wait until it serves."""
    port, metrics_port = free_ports(2)
    environment = os.environ | {
        "INTERPLAY_PORT": str(port),
        "INTERPLAY_METRICS_PORT": str(metrics_port),
        "INTERPLAY_METRICS_HOST": "127.0.0.1",
        "INTERPLAY_THREADS": "1",
        "INTERPLAY_LOG_LEVEL": "WARNING",
        "INTERPLAY_CAPABILITY_ADDRESSES": json.dumps(addresses),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen([sys.executable, "-m", f"services.{name}"], env=environment)
    client = SyncModelServerClient(get_capability(name), f"127.0.0.1:{port}")
    try:
        give_up = monotonic() + _READY_S
        while not client.is_serving():
            if process.poll() is not None or monotonic() > give_up:
                raise RuntimeError(f"{name} did not get ready")
            sleep(0.2)
        yield Server(f"127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics")
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=60)


def write_photos(count: int, folder: Path) -> None:
    """Held-out photos with their ground truth, as an ICDAR data set."""
    folder.mkdir()
    truth = data_dir() / "icdar2015" / "gt"
    for sample in load_part("held_out")[:count]:
        (folder / sample.image.name).write_bytes(sample.image.read_bytes())
        name = f"gt_{sample.image.stem}.txt"
        (folder / name).write_bytes((truth / name).read_bytes())


def measure(
    servers: Sequence[Server], root: Path, *, mode: str, variants: int, detection: Server
) -> dict[str, object]:
    """Run the job once over the photos in ``root/photos``."""
    targets = "ipv4:" + ",".join(each.target for each in servers)
    models = ModelServers({"style_transfer": targets, "text_detection": detection.target})
    output = f"{mode}-{len(servers)}"
    params = KIND.validate(
        {"input": "photos", "output": output, "mode": mode, "variants": variants, "batch_size": 16}
    )
    work = KIND.start(params, JobContext("benchmark", Datasets([str(root)]), models))
    units = work.plan()
    before = [each.busy_s() for each in servers]
    started = perf_counter()
    done = [DoneUnit(items, work.run_unit(items)) for items in units]
    seconds = perf_counter() - started
    busy = [each.busy_s() - earlier for each, earlier in zip(servers, before, strict=True)]
    result = work.finish(done)
    models.close()
    images = result.summary["variants"]
    return {
        "mode": mode,
        "replicas": len(servers),
        "styled images": images,
        "seconds": round(seconds, 1),
        "images/s": round(images / seconds, 3),
        "busy": " ".join(f"{part / seconds:.1%}" for part in busy),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--variants", type=int, default=1)
    parser.add_argument("--modes", nargs="+", default=["polygons", "selective"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        write_photos(arguments.photos, root / "photos")
        detection = stack.enter_context(server("text_detection", {}))
        addresses = {"text_detection": detection.target}
        styling = [stack.enter_context(server("style_transfer", addresses)) for _ in range(2)]
        for mode in arguments.modes:
            one = measure(styling[:1], root, mode=mode, variants=arguments.variants, detection=detection)
            two = measure(styling, root, mode=mode, variants=arguments.variants, detection=detection)
            two["speed-up"] = round(float(str(two["images/s"])) / float(str(one["images/s"])), 2)
            rows += [{**one, "speed-up": 1.0}, two]
    print(machine())
    print_table(f"augment_dataset over {arguments.photos} photos, one thread a server", rows)
    write(arguments.out, {"augmentation": rows})


if __name__ == "__main__":
    main()
