"""The two runtimes side by side: model servers that run their models, and such that ask a TorchServe.

    python -m benchmarks.serving --runtimes --seconds 5

Both kinds of server get the same requests (Open Inference Protocol over gRPC, raw answers), in turns, on the
same machine, with as many threads an inference. One capability is up at a time. Sent from this process, so
the sender's work is part of what the cores do; it is the same for both.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import grpc
import numpy as np

from benchmarks.load import Outcome
from benchmarks.report import quantiles_ms
from interplay.capabilities import get_capability
from interplay.launcher.ports import free_port
from interplay.launcher.settings import child_environment
from interplay.launcher.torchserve.settings import KEY_FILE
from interplay.media.images import encode_jpeg
from interplay.rpc.clients import SyncModelServerClient
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb
from interplay.rpc.open_inference.v1.open_inference_pb2_grpc import GRPCInferenceServiceStub
from interplay.rpc.tensors import bytes_array, to_raw
from interplay.settings import REPOSITORY_ROOT
from interplay.store import resolve

RUNTIMES = ("in_process", "torchserve")
CALLERS = (1, 4, 8)
ROUNDS = 2
STORE = REPOSITORY_ROOT / "model_store"
_START_S = 300.0


def request(model: str, **inputs: tuple[str, np.ndarray]) -> pb.ModelInferRequest:
    """A request with raw contents."""
    message = pb.ModelInferRequest(model_name=model)
    for name, (datatype, array) in inputs.items():
        message.inputs.add(name=name, datatype=datatype, shape=array.shape)
        message.raw_input_contents.append(to_raw(array, datatype))
    return message


def photo(width: int, height: int) -> np.ndarray:
    """(1,) BYTES: a JPEG of smooth noise."""
    small = np.random.default_rng(0).integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    image = np.ascontiguousarray(small.repeat(16, 0).repeat(16, 1))
    return bytes_array([encode_jpeg(image)])


def workloads() -> dict[str, dict[str, pb.ModelInferRequest]]:
    """Requests by capability and model; what they hold is in the name."""
    weights = np.zeros((1, len(resolve(STORE, "style-print").manifest.labels)), np.float32)
    weights[0, 0] = 1.0
    manifest = resolve(STORE, "locsens-image").manifest
    vectors = np.random.default_rng(0).normal(size=(32, manifest.config["dimension"])).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    triplets = {
        "vector": ("FP32", vectors),
        "tag": ("INT64", np.arange(32)),
        "place": ("FP64", np.tile([41.38, 2.17], (32, 1))),
    }
    picture = ("BYTES", photo(320, 240))
    text = ("BYTES", bytes_array([b"red sky over the sea"]))
    return {
        "embedding": {
            "embedding-words, a text": request("embedding-words", text=text),
            "embedding-image, 320x240": request("embedding-image", image=picture),
        },
        "locsens": {
            "locsens-tagging, 32 triplets": request("locsens-tagging", **triplets),
            "locsens-image, 320x240": request("locsens-image", image=picture),
        },
        "text_detection": {
            "textfcn-compact, 640x480": request("textfcn-compact", image=("BYTES", photo(640, 480))),
        },
        "style_transfer": {
            "style-print, 320x240": request("style-print", image=picture, weights=("FP32", weights)),
        },
    }


@contextmanager
def process(module: str, log: Path, **settings: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A module of this project as a process with these settings."""
    environment = {f"INTERPLAY_{name.upper()}": str(value) for name, value in settings.items()}
    environment["OMP_WAIT_POLICY"] = "passive"  # of both: spinning threads would measure the scheduler
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", module],
            cwd=REPOSITORY_ROOT,
            env=child_environment(environment),
            stdout=output,
            stderr=output,
        )
    try:
        yield running
    finally:
        running.terminate()
        running.wait(60)


@contextmanager
def both(capability: str) -> Iterator[dict[str, str]]:
    """Targets of a server of each runtime."""
    row = get_capability(capability)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        port, targets = free_port(), {}
        own = {
            "torchserve_dir": folder / "ts",
            "torchserve_port": port,
            "torchserve_capabilities": capability,
        }
        (folder / "ts").mkdir()
        stack.enter_context(process("interplay.launcher.torchserve", folder / "torchserve.log", **own))
        for runtime in RUNTIMES:
            served = free_port()
            settings = {
                "port": served,
                "metrics_port": free_port(),
                "state_dir": folder / runtime,
                "runtime": runtime,
                "torchserve__target": f"127.0.0.1:{port}",
                "torchserve__key_file": folder / "ts" / KEY_FILE,
                "log_level": "WARNING",
            }
            (folder / runtime).mkdir()
            running = stack.enter_context(process(row.module, folder / f"{runtime}.log", **settings))
            targets[runtime] = f"127.0.0.1:{served}"
            client = SyncModelServerClient(row, targets[runtime])
            until = time.monotonic() + _START_S
            while not client.is_serving():
                if running.poll() is not None or time.monotonic() > until:
                    raise RuntimeError(
                        f"{capability} does not start:\n{(folder / f'{runtime}.log').read_text()}"
                    )
                time.sleep(0.2)
            client.close()
        yield targets


class Caller:
    """Sends one request over and over to one server.

    Args:
        target: Its address.
        message: The request.
    """

    def __init__(self, target: str, message: pb.ModelInferRequest) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self._channel = grpc.aio.insecure_channel(target, options=options)
        self._infer = GRPCInferenceServiceStub(self._channel).ModelInfer
        self._message = message

    async def send(self, outcome: Outcome) -> None:
        """One request; 200 and 429 stand for OK and RESOURCE_EXHAUSTED."""
        started = perf_counter()
        status = 200
        try:
            await self._infer(self._message, timeout=60)
        except grpc.aio.AioRpcError as error:
            status = 429 if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED else 500
        outcome.statuses[status] += 1
        if status != 500:
            (outcome.seconds if status == 200 else outcome.refused_seconds).append(perf_counter() - started)

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()


async def closed(caller: Caller, callers: int, seconds: float, outcome: Outcome) -> None:
    """``callers`` callers, each sending when it has its answer; added to ``outcome``."""
    started = perf_counter()

    async def one() -> None:
        while perf_counter() - started < seconds:
            await caller.send(outcome)

    await asyncio.gather(*(one() for _ in range(callers)))
    outcome.duration_s += perf_counter() - started


async def opened(caller: Caller, per_s: float, seconds: float, outcome: Outcome) -> None:
    """Arrivals at a rate, evenly spaced, whatever becomes of them; added to ``outcome``."""
    started, tasks = perf_counter(), []
    for number in range(max(1, int(per_s * seconds))):
        await asyncio.sleep(max(0.0, started + number / per_s - perf_counter()))
        tasks.append(asyncio.create_task(caller.send(outcome)))
    await asyncio.gather(*tasks)
    outcome.duration_s += perf_counter() - started


async def compare(
    targets: dict[str, str], name: str, message: pb.ModelInferRequest, seconds: float
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Rows of the closed and of the open loop, the runtimes in turns."""
    callers = {runtime: Caller(target, message) for runtime, target in targets.items()}
    for caller in callers.values():
        await closed(caller, 2, 1.0, Outcome())
    closed_rows, peak = [], dict.fromkeys(RUNTIMES, 0.0)
    for count in CALLERS:
        outcomes = {runtime: Outcome(statuses=Counter()) for runtime in RUNTIMES}
        for _ in range(ROUNDS):
            for runtime, caller in callers.items():
                await closed(caller, count, seconds / ROUNDS, outcomes[runtime])
        for runtime, outcome in outcomes.items():
            peak[runtime] = max(peak[runtime], outcome.goodput)
            closed_rows.append(_row(name, {"callers": count}, runtime, outcome))
    open_rows = []
    for factor in (0.5, 0.9, 2.0):
        rate = factor * peak["torchserve"]
        for runtime, caller in callers.items():
            outcome = Outcome()
            await opened(caller, rate, seconds, outcome)
            load = {"arrivals_per_s": round(rate, 1), "of_torchserve_peak": factor}
            open_rows.append(_row(name, load, runtime, outcome))
    for caller in callers.values():
        await caller.close()
    return closed_rows, open_rows


def _row(name: str, load: dict[str, Any], runtime: str, outcome: Outcome) -> dict[str, Any]:
    failed = sum(n for status, n in outcome.statuses.items() if status not in (200, 429))
    return {
        "model, request": name,
        **load,
        "runtime": runtime,
        "per_s": round(outcome.goodput, 1),
        **quantiles_ms(outcome.seconds),
        "refused": outcome.statuses[429],
        "failed": failed,
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Peak of each runtime in the closed loop, by model, and their ratio."""
    found = []
    for name in dict.fromkeys(row["model, request"] for row in rows):
        best = {
            runtime: max(
                (row for row in rows if row["model, request"] == name and row["runtime"] == runtime),
                key=lambda row: row["per_s"],
            )
            for runtime in RUNTIMES
        }
        own, other = best["in_process"], best["torchserve"]
        found.append(
            {
                "model, request": name,
                "own_per_s": own["per_s"],
                "own_p95_ms": own["p95_ms"],
                "torchserve_per_s": other["per_s"],
                "torchserve_p95_ms": other["p95_ms"],
                "ratio": round(own["per_s"] / other["per_s"], 2) if other["per_s"] else 0.0,
            }
        )
    return found


def measure(seconds: float, only: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """All workloads, or those of one capability."""
    closed_rows: list[dict[str, Any]] = []
    open_rows: list[dict[str, Any]] = []
    for capability, requests in workloads().items():
        if only not in (None, capability):
            continue
        with both(capability) as targets:
            for name, message in requests.items():
                rows = asyncio.run(compare(targets, name, message, seconds))
                closed_rows += rows[0]
                open_rows += rows[1]
                print(json.dumps(summary(rows[0])[0]), flush=True)
    return {"peaks": summary(closed_rows), "closed_loop": closed_rows, "open_loop": open_rows}


def load_average() -> float:
    """Of the last minute: what else the machine does."""
    return round(os.getloadavg()[0], 2)
