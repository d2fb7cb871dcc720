"""Which device and number type a predictor runs with."""

from __future__ import annotations

import torch

from interplay.errors import InternalError


def choose_device(requested: str) -> str:
    """Device for a request of ``auto``, ``cpu`` or ``cuda``: ``cpu`` or ``cuda:0``.

    Raises:
        InternalError: ``cuda`` was asked for and there is none.
    """
    if requested == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda:0"
    if requested == "cuda":
        raise InternalError("device=cuda was asked for, but torch sees no GPU; use device=auto or cpu")
    return "cpu"


def choose_dtype(device: str) -> str:
    """Number type of inference.

    bfloat16 where the hardware computes in it (half the time of float32 on such CPUs, measured by
    ``benchmarks/segment.py``), else float16 on GPUs and float32 on CPUs.
    """
    if not device.startswith("cuda"):
        # Private in torch, so its absence is allowed for; emulated bfloat16 would be slower than float32.
        native = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
        return "bfloat16" if native else "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
