"""Time of restyling one picture in one style, and what number types, layouts and runtimes bring.

    python -m benchmarks.styling --side 512

All variants take turns on the same pictures in one run, with as many threads as there are usable
cores. ONNX Runtime is measured where ``onnx`` and ``onnxscript`` are installed (they are needed to
export the network, not to serve it).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import onnxruntime
import torch
from safetensors.torch import load_file

from benchmarks.report import machine, print_table, write
from interplay.models.style_transformer import StyleTransformer, build_style_transformer
from interplay.predictors.device import choose_dtype
from interplay.predictors.style_transfer.stylist import StyleItem, Stylist
from interplay.serving.memory import keep_freed_memory
from interplay.settings import REPOSITORY_ROOT, available_cores
from interplay.store import StoredModel, resolve

Variant = Callable[[np.ndarray], object]


class OneStyle(torch.nn.Module):
    """The network for one style, for export."""

    def __init__(self, network: StyleTransformer) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, 3, H, W) to (1, 3, H, W)."""
        return self.network(x, torch.eye(self.network.config.styles)[:1])


def network_of(stored: StoredModel) -> StyleTransformer:
    """The float32 network of a store entry."""
    network = build_style_transformer(stored.manifest.config)
    network.load_state_dict({key: value.float() for key, value in load_file(stored.weights).items()})
    return network.eval().requires_grad_(False)


def served(stored: StoredModel, dtype: str) -> Variant:
    """The predictor that serves, decoding and encoding left out."""
    stylist = Stylist.load(stored, device="cpu", threads=available_cores(), dtype=dtype)
    weights = np.eye(len(stylist.styles), dtype=np.float32)[0]
    return lambda image: stylist.predict_batch([StyleItem(image, weights)])


def plain(stored: StoredModel, layout: torch.memory_format) -> Variant:
    """The network alone in a memory layout."""
    network = network_of(stored).to(memory_format=layout)
    weights = torch.eye(network.config.styles)[:1]

    def run(image: np.ndarray) -> object:
        x = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            return network(x.contiguous(memory_format=layout), weights)

    return run


def with_onnxruntime(stored: StoredModel, side: int) -> Variant | None:
    """The network in ONNX Runtime; None where the packages for the export are missing."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "style.onnx"
        torch.onnx.export(OneStyle(network_of(stored)), (torch.rand(1, 3, side, side),), file, dynamo=True)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = available_cores()
        session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def run(image: np.ndarray) -> object:
        return session.run(None, {name: image.transpose(2, 0, 1)[None].astype(np.float32) / 255})

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--model-store", type=Path, default=REPOSITORY_ROOT / "model_store")
    parser.add_argument(
        "--plain-memory", action="store_true", help="do not keep freed memory, as the server does"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    if not arguments.plain_memory:
        keep_freed_memory()
    stored = resolve(arguments.model_store, "style-scene")
    torch.set_num_threads(available_cores())
    variants: dict[str, Variant | None] = {
        f"as served ({choose_dtype('cpu')})": served(stored, choose_dtype("cpu")),
        "float32": served(stored, "float32"),
        "bfloat16": served(stored, "bfloat16"),
        "network alone, channels last": plain(stored, torch.channels_last),
        "network alone, channels first": plain(stored, torch.contiguous_format),
        "ONNX Runtime": with_onnxruntime(stored, arguments.side),
    }
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (arguments.side, arguments.side, 3), dtype=np.uint8)
    seconds: dict[str, list[float]] = {name: [] for name, variant in variants.items() if variant}
    for number in range(arguments.rounds + 1):
        for name, variant in variants.items():
            if variant is not None:
                started = perf_counter()
                variant(image)
                if number:  # the first round warms everything up
                    seconds[name].append(perf_counter() - started)
    base = median(seconds["float32"])
    rows = [
        {"variant": name, "median_ms": round(1000 * median(s)), "times float32": round(median(s) / base, 2)}
        for name, s in seconds.items()
    ]
    print(machine())
    print_table(f"{arguments.side}×{arguments.side}, one style, {arguments.rounds} rounds", rows)
    if variants["ONNX Runtime"] is None:
        print("\nONNX Runtime: not measured; pip install onnx onnxscript")
    write(arguments.out, {"styling": rows, "side": arguments.side})


if __name__ == "__main__":
    main()
