"""The whole system under load: overhead, closed loop, open loop to 4x overload, memory, parity.

    python -m benchmarks.serving                       # starts its own `interplay up`
    python -m benchmarks.serving --seconds 30 --out serving.json
    python -m benchmarks.serving --runtimes            # both runtimes instead: see benchmarks.runtimes

Sent: held-out ICDAR 2015 photos (1280x720 JPEG) to ``/v1/text:segment``, from this machine, so the
sender's own work is part of what the cores do. "Model" is the server's own account of decoding,
preprocessing, inference and postprocessing of that request; what is above it is the price of
gateway, gRPC and queue.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import runtimes
from benchmarks.load import Outcome, Sender, closed_loop, open_loop
from benchmarks.photos import held_out_photos
from benchmarks.report import machine, print_table, quantiles_ms, write
from benchmarks.runtimes import load_average
from benchmarks.stack import resident_mb, running_system
from interplay.media.images import decode
from interplay.predictors.text_detection.segmenter import TextSegmenter
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.store import resolve

STAGES = ("queue", "decode", "preprocess", "infer", "postprocess")


def batch_parity(photos: list[bytes]) -> float:
    """Largest difference of any pixel's probability between a batch and single photos."""
    segmenter = TextSegmenter.load(resolve(REPOSITORY_ROOT / "model_store", "textfcn-compact"), device="cpu")
    images = [decode(content) for content in photos[:4]]
    together = segmenter.predict(images)
    alone = [segmenter.predict([image])[0] for image in images]
    return max(float(np.abs(a.text - b.text).max()) for a, b in zip(together, alone, strict=True))


async def overhead(url: str, photos: list[bytes], count: int) -> list[dict[str, Any]]:
    """One caller, one request at a time: where the time goes."""
    sender = Sender(f"{url}/v1/text:segment", photos)
    outcome = Outcome()
    stages: dict[str, list[float]] = {name: [] for name in STAGES}
    for number in range(count + 5):
        response = await sender.send(outcome)
        if response is None or response.status != 200:
            raise RuntimeError(f"request {number} failed")
        if number < 5:
            continue
        timing = {}
        for entry in response.server_timing.split(","):
            name, _, value = entry.strip().partition(";dur=")
            timing[name] = float(value) / 1000
        for name in STAGES:
            stages[name].append(timing[name])
    sender.close()
    totals = outcome.seconds[5:]
    model = [sum(stages[s][i] for s in STAGES[1:]) for i in range(count)]
    added = [total - own for total, own in zip(totals, model, strict=True)]
    rows = [{"what": "whole request", **quantiles_ms(totals)}, {"what": "model", **quantiles_ms(model)}]
    rows += [{"what": f"- {name}", **quantiles_ms(stages[name])} for name in STAGES[1:]]
    rows.append({"what": "added by gateway, gRPC and queue", **quantiles_ms(added)})
    return rows


async def sweep(url: str, pid: int, photos: list[bytes], seconds: float) -> dict[str, Any]:
    """Closed loop over callers, then open loop at parts and multiples of the peak."""
    sender = Sender(f"{url}/v1/text:segment", photos)
    closed = []
    for callers in (1, 2, 4, 8, 16):
        outcome = await closed_loop(sender, callers=callers, duration_s=seconds)
        closed.append({"callers": callers, **outcome.row()})
    peak = max(row["goodput_per_s"] for row in closed)
    memory = {m: resident_mb(pid, m) for m in ("services.text_detection", "gateway")}
    opened = []
    for factor in (0.5, 0.8, 1.0, 2.0, 4.0):
        outcome = await open_loop(sender, per_s=factor * peak, duration_s=seconds)
        opened.append({"times_peak": factor, "arrivals_per_s": round(factor * peak, 1), **outcome.row()})
    growth = [
        {"process": m, "before_mb": round(before), "after_overload_mb": round(resident_mb(pid, m))}
        for m, before in memory.items()
    ]
    sender.close()
    overload = median(row["goodput_per_s"] for row in opened if row["times_peak"] == 4.0)
    return {
        "closed_loop": closed,
        "open_loop": opened,
        "memory": growth,
        "goodput_at_4x_over_peak": round(overload / peak, 3),
    }


async def measure(photos: list[bytes], requests: int, seconds: float) -> dict[str, Any]:
    """All parts against one running system."""
    with running_system() as (url, pid):
        return {"overhead": await overhead(url, photos, requests), **await sweep(url, pid, photos, seconds)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--requests", type=int, default=60, help="requests of the overhead part")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of each load step")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--runtimes", action="store_true", help="compare the two runtimes instead")
    parser.add_argument("--capability", help="with --runtimes: this one alone")
    arguments = parser.parse_args()
    if arguments.runtimes:
        print(machine(), f"{available_cores()} cores shared with the sender; load {load_average()} before")
        compared = runtimes.measure(arguments.seconds, arguments.capability)
        print_table("Peaks", compared["peaks"])
        print_table("Closed loop", compared["closed_loop"])
        print_table("Open loop", compared["open_loop"])
        write(arguments.out, compared)
        return
    photos = held_out_photos(arguments.photos)
    print(machine(), f"{available_cores()} cores shared with the sender")
    results = asyncio.run(measure(photos, arguments.requests, arguments.seconds))
    results["batch_parity"] = batch_parity(photos)
    print_table("One caller: where the time goes", results["overhead"])
    print_table("Closed loop", results["closed_loop"])
    print_table("Open loop", results["open_loop"])
    print_table("Resident memory", results["memory"])
    print(f"\ngoodput at 4x over peak: {results['goodput_at_4x_over_peak']}")
    print(f"largest difference of a batch from single photos: {results['batch_parity']:.1e}")
    write(arguments.out, results)


if __name__ == "__main__":
    main()
