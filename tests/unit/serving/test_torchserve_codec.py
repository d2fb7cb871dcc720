"""Messages between a model server and TorchServe's handler: what goes in comes out, and nothing else does."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch

from interplay.errors import InternalError, InvalidParameter, NotFound
from interplay.predictors.batch import BatchOutput
from interplay.served import SERVED, load
from interplay.serving.torchserve.codec import Codec


@dataclass(frozen=True)
class Point:
    """A dataclass with all kinds of fields."""

    place: Any
    name: str = "π"


CODEC = Codec((Point, BatchOutput))


def round_trip(value: Any) -> Any:
    return CODEC.decode(CODEC.encode(value))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -7,
        2**70,
        0.1,
        float("inf"),
        "snow ☃",
        b"\x00\xff",
        [],
        [1, [2]],
        (),
        ("a", (1, None)),
        {"a": (1, 2), 3: [None]},
    ],
)
def test_plain_values_come_back_as_they_were(value: Any) -> None:
    found = round_trip(value)
    assert found == value and type(found) is type(value)


@pytest.mark.parametrize("dtype", ["?", "u1", "u2", "i4", "i8", "f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4)])
def test_arrays_keep_type_shape_and_numbers(dtype: str, shape: tuple[int, ...]) -> None:
    array = np.asarray(np.random.default_rng(0).random(shape) * 100).astype(dtype)
    found = round_trip({"x": [array, array]})["x"][1]
    assert found.shape == shape and found.dtype == np.dtype(dtype).newbyteorder("<")
    np.testing.assert_array_equal(found, array)
    if found.size:
        found[...] = 0  # predictors and servicers may write to what they are given


def test_an_array_that_is_not_contiguous_comes_back() -> None:
    array = np.arange(24).reshape(4, 6)[::2, ::-1]
    np.testing.assert_array_equal(round_trip(array), array)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.int64])
def test_tensors_come_back(dtype: torch.dtype) -> None:
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    found = round_trip((tensor,))[0]
    assert found.dtype == dtype and torch.equal(found, tensor)


def test_dataclasses_and_errors_come_back() -> None:
    error = InvalidParameter("limit is 7; at most 5", field="limit", metadata={"limit": "5"})
    output = round_trip(BatchOutput(results=[Point(np.ones(2)), error], infer_s=0.5))
    assert isinstance(output, BatchOutput) and output.infer_s == 0.5
    point, found = output.results
    assert isinstance(point, Point) and point.name == "π" and point.place.tolist() == [1, 1]
    assert type(found) is InvalidParameter
    assert (found.message, found.field, found.metadata) == (error.message, "limit", {"limit": "5"})
    assert type(round_trip(NotFound("no"))) is NotFound


def test_what_the_codec_does_not_know_is_not_sent() -> None:
    with pytest.raises(TypeError, match="object cannot be sent"):
        CODEC.encode([object()])
    with pytest.raises(TypeError, match="cannot be sent"):
        CODEC.encode(np.array([object()]))
    with pytest.raises(TypeError, match="cannot be sent"):
        Codec(()).encode(Point(1))


def message(tree: Any, tail: bytes = b"") -> bytes:
    header = json.dumps(tree).encode()
    start = -(-(8 + len(header)) // 64) * 64
    return (len(header).to_bytes(8, "little") + header).ljust(start, b"\0") + tail


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x05",
        b"\x80\x04K\x01.",  # a pickle
        (2**63).to_bytes(8, "little"),
        (4).to_bytes(8, "little") + b"{]{]",
        message({"$": "object", "type": "Popen", "fields": {"args": ["true"]}}),
        message({"$": "object", "type": "Point", "fields": {"colour": 1}}),
        message({"$": "call", "of": "os.system"}),
        message({"no": "kind"}),
        message({"$": "array", "dtype": "|O", "shape": [1], "at": 0}, bytes(64)),
        message({"$": "array", "dtype": "<f4", "shape": [100], "at": 0}, bytes(64)),
        message({"$": "array", "dtype": "<f4", "shape": [-1], "at": 0}, bytes(64)),
        message({"$": "array", "dtype": "<f4", "shape": [1], "at": -4}, bytes(64)),
        message({"$": "tensor", "as": "bfloat16", "dtype": "<f4", "shape": [1], "at": 0}, bytes(64)),
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(InternalError, match="not a message"):
        CODEC.decode(content)


def test_every_served_model_has_a_codec() -> None:
    for row in SERVED:
        types = [load(path) for path in row.wire]
        assert set(Codec(types)._types.values()) == set(types)


def test_two_types_of_one_name_are_refused() -> None:
    other = dataclass(type("Point", (), {"__annotations__": {"x": int}}))
    with pytest.raises(ValueError, match="the name is taken"):
        Codec((Point, other))
    with pytest.raises(ValueError, match="no dataclass"):
        Codec((int,))
