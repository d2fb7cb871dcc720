"""Images embedded a second: the predictor called directly, and the job ``build_index`` in the whole system.

    python -m benchmarks.embedding                     # starts its own `interplay up`
    python -m benchmarks.embedding --photos 2000 --rounds 3

Photos are those of ``coco_captions/images`` (about 320 pixels a side). "direct" reads and decodes them with
one thread a core and embeds them in batches; "decoded" has them decoded before the clock starts. The job is
sent to the gateway and read back from it: it reads the same files, and adds what an index needs beside the
vector: difference hashes, entries in the index, checkpoints, and thumbnails unless it is told to make none.
"direct, hashes and thumbnails" makes these two as well, and keeps them in memory. Direct batches and jobs
take turns. The ratio is the photos a second to those of "direct".
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any

import httpx

from benchmarks.report import machine, print_table, write
from benchmarks.stack import running_system
from interplay.media.fingerprint import fingerprint
from interplay.media.images import decode
from interplay.media.thumbnails import encode_thumbnail
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.types import Image
from training.text_detection.paths import data_dir

_READY_S = 600.0
_THUMBNAIL_PX = 256


def direct(embedder: ImageEmbedder, files: list[Path], size: int, prepare: Callable[[Path], Any]) -> float:
    """Photos a second in batches; ``prepare`` gives a photo and whatever is made beside it."""
    with ThreadPoolExecutor(available_cores()) as pool:
        started = perf_counter()
        for start in range(0, len(files), size):
            made = list(pool.map(prepare, files[start : start + size]))
            embedder.predict_batch([photo for photo, *_ in made])
        return len(files) / (perf_counter() - started)


def read(path: Path) -> tuple[Image]:
    """The photo."""
    return (decode(path.read_bytes()),)


def read_all(path: Path) -> tuple[Image, int, bytes]:
    """The photo, its difference hash and its thumbnail."""
    (photo,) = read(path)
    return photo, fingerprint(photo), encode_thumbnail(photo, _THUMBNAIL_PX)


def job(client: httpx.Client, name: str, thumbnail_px: int, expected: int) -> float:
    """Photos a second of a job, from its submission until its index answers."""
    params = {"index": name, "input": "photos", "output": name, "thumbnail_px": thumbnail_px}
    started = perf_counter()
    answer = client.post("/v1/jobs", json={"kind": "build_index", "params": params})
    answer.raise_for_status()
    path = f"/v1/jobs/{answer.json()['id']}"
    while (body := client.get(path).raise_for_status().json())["state"] in ("queued", "running"):
        if perf_counter() - started > _READY_S:
            raise RuntimeError(f"the job is not done after {_READY_S:.0f} s")
        sleep(0.25)
    seconds = perf_counter() - started
    if body["state"] != "succeeded":
        raise RuntimeError(f"the job ended as {body['state']}: {body['error']}")
    added = client.get(f"{path}/result").raise_for_status().json()["summary"]["added"]
    if added != expected:
        raise RuntimeError(f"the job added {added} photos of {expected}")
    return expected / seconds


def measure(files: list[Path], rounds: int, size: int) -> list[dict[str, Any]]:
    """Medians of all, measured in turn."""
    embedder = ImageEmbedder.open(REPOSITORY_ROOT / "model_store", threads=available_cores())
    decoded = {file: read(file) for file in files}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "photos"
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        with (
            running_system("--only", "embedding", "--root", scratch) as (url, _),
            httpx.Client(base_url=url, timeout=60) as client,
        ):
            what: dict[str, Callable[[str], float]] = {
                "direct, decoded": lambda _: direct(embedder, files, size, decoded.__getitem__),
                "direct": lambda _: direct(embedder, files, size, read),
                "direct, hashes and thumbnails": lambda _: direct(embedder, files, size, read_all),
                "job": lambda name: job(client, f"job{name}", _THUMBNAIL_PX, len(files)),
                "job without thumbnails": lambda name: job(client, f"bare{name}", 0, len(files)),
            }
            seen: dict[str, list[float]] = {name: [] for name in what}
            for number in range(rounds + 1):  # the first round warms up
                for name, run in what.items():
                    per_s = run(str(number))
                    if number:
                        seen[name].append(per_s)
    base = median(seen["direct"])
    return [
        {
            "what": name,
            "photos_per_s": round(median(values), 1),
            "lowest": round(min(values), 1),
            "highest": round(max(values), 1),
            "of_direct": round(median(values) / base, 3),
        }
        for name, values in seen.items()
    ]


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16, help="photos of a direct batch")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    folder = data_dir() / "coco_captions" / "images"
    files = sorted(folder.glob("*.jpg"))[: arguments.photos]
    if not files:
        sys.exit(f"there are no photos in {folder}; set INTERPLAY_DATA_DIR")
    print(machine(), f"{len(files)} photos", flush=True)
    rows = measure(files, arguments.rounds, arguments.batch)
    print_table("Photos embedded a second", rows)
    write(arguments.out, {"photos": len(files), "batch": arguments.batch, "rows": rows})


if __name__ == "__main__":
    main()
