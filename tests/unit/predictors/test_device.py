"""Choice of device and number type, with and without a GPU."""

from __future__ import annotations

import pytest
import torch

from interplay.errors import InternalError
from interplay.predictors.device import choose_device, choose_dtype


@pytest.mark.parametrize(
    "requested, gpu, expected",
    [
        ("cpu", False, "cpu"),
        ("cpu", True, "cpu"),
        ("auto", False, "cpu"),
        ("auto", True, "cuda:0"),
        ("cuda", True, "cuda:0"),
    ],
)
def test_device(monkeypatch: pytest.MonkeyPatch, requested: str, gpu: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    assert choose_device(requested) == expected


def test_asking_for_a_missing_gpu_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InternalError, match="device=cuda was asked for"):
        choose_device("cuda")


@pytest.mark.parametrize(
    "device, native, expected",
    [
        ("cpu", True, "bfloat16"),
        ("cpu", False, "float32"),
        ("cuda:0", True, "bfloat16"),
        ("cuda:0", False, "float16"),
    ],
)
def test_number_type(monkeypatch: pytest.MonkeyPatch, device: str, native: bool, expected: str) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: native, raising=False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: native)
    assert choose_dtype(device) == expected


def test_number_type_without_torchs_private_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert choose_dtype("cpu") == "float32"
