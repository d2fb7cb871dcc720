"""Tensors of the Open Inference Protocol: typed and raw contents say the same, and nonsense is refused."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from interplay.errors import InvalidInput, InvalidParameter
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb
from interplay.rpc.tensors import BYTES, Tensor, bytes_array, from_raw, read_inputs, to_raw, write_outputs

# Data type → field of its contents, and numbers at its ends.
KINDS: dict[str, tuple[str, list[Any]]] = {
    "BOOL": ("bool_contents", [True, False]),
    "UINT8": ("uint_contents", [0, 255]),
    "UINT16": ("uint_contents", [0, 65535]),
    "UINT32": ("uint_contents", [0, 2**32 - 1]),
    "UINT64": ("uint64_contents", [0, 2**64 - 1]),
    "INT8": ("int_contents", [-128, 127]),
    "INT16": ("int_contents", [-32768, 32767]),
    "INT32": ("int_contents", [-(2**31), 2**31 - 1]),
    "INT64": ("int64_contents", [-(2**63), 2**63 - 1]),
    "FP32": ("fp32_contents", [-0.5, 3.0]),
    "FP64": ("fp64_contents", [-1e-300, 1e300]),
    "BYTES": ("bytes_contents", [b"", b"\x00snow"]),
}


def request(datatype: str, shape: list[int], **contents: Any) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest()
    tensor = message.inputs.add(name="x", datatype=datatype, shape=shape)
    tensor.contents.CopyFrom(pb.InferTensorContents(**contents))
    return message


@pytest.mark.parametrize("datatype", KINDS)
def test_typed_and_raw_contents_are_the_same_array(datatype: str) -> None:
    field, values = KINDS[datatype]
    wanted = [Tensor("x", datatype, (-1, 1))]
    typed = read_inputs(request(datatype, [2, 1], **{field: values}), wanted)["x"]
    assert typed.shape == (2, 1) and typed[:, 0].tolist() == values
    raw = pb.ModelInferRequest(raw_input_contents=[to_raw(typed, datatype)])
    raw.inputs.add(name="x", datatype=datatype, shape=[2, 1])
    np.testing.assert_array_equal(read_inputs(raw, wanted)["x"], typed)


def test_halves_come_raw_only() -> None:
    wanted = [Tensor("x", "FP16", (-1,))]
    raw = pb.ModelInferRequest(raw_input_contents=[np.array([0.5], "<f2").tobytes()])
    raw.inputs.add(name="x", datatype="FP16", shape=[1])
    assert read_inputs(raw, wanted)["x"].tolist() == [0.5]
    with pytest.raises(InvalidParameter, match="raw contents only"):
        read_inputs(request("FP16", [1], fp32_contents=[0.5]), wanted)


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (request("FP32", [3], fp32_contents=[1, 2]), "2 elements; the shape [3] takes 3"),
        (request("FP32", [-1], fp32_contents=[1]), "negative size"),
        (request("FP32", [0], fp32_contents=[]), "not empty"),
        (request("FP32", [1, 1], fp32_contents=[1]), "must be [-1]"),
        (request("INT32", [1], int_contents=[1]), "x is INT32; it must be FP32"),
        (request("", [1], fp32_contents=[1]), "of no data type"),
        (request("FP32", [2**40, 2**40], fp32_contents=[1]), "takes"),
        (pb.ModelInferRequest(), "the input 'x' is missing"),
    ],
)
def test_what_does_not_fit_is_refused(message: pb.ModelInferRequest, fault: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        read_inputs(message, [Tensor("x", "FP32", (-1,))])
    assert fault in refused.value.message


def test_a_number_that_the_type_does_not_hold_is_refused() -> None:
    with pytest.raises(InvalidParameter, match="UINT8 does not"):
        read_inputs(request("UINT8", [1], uint_contents=[256]), [Tensor("x", "UINT8", (-1,))])


def test_an_input_twice_or_unknown_is_refused() -> None:
    message = request("FP32", [1], fp32_contents=[1])
    message.inputs.append(message.inputs[0])
    with pytest.raises(InvalidParameter, match="is given twice"):
        read_inputs(message, [Tensor("x", "FP32", (-1,))])
    with pytest.raises(InvalidParameter, match="'x' is not an input; there are: y"):
        read_inputs(message, [Tensor("y", "FP32", (-1,))])


def test_raw_and_typed_do_not_mix() -> None:
    message = request("FP32", [1], fp32_contents=[1])
    message.raw_input_contents.append(b"\0\0\0\0")
    with pytest.raises(InvalidInput, match="one for each"):
        read_inputs(message, [Tensor("x", "FP32", (-1,))])


@pytest.mark.parametrize("raw", [b"\x01", b"\x05\0\0\0abc", b"\xff\xff\xff\xffabc"])
def test_lengths_past_the_end_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidParameter, match="past the end"):
        from_raw("x", BYTES, (1,), raw)


def test_outputs_are_raw_in_order_and_only_those_wanted() -> None:
    outputs = (Tensor("a", "FP32", (-1,)), Tensor("b", BYTES, (-1,)), Tensor("c", "FP32", (-1,)))
    arrays = {"b": bytes_array([b"xy", b""]), "a": np.array([1.5], np.float64)}  # c: not of this model
    response = pb.ModelInferResponse()
    write_outputs(response, arrays, outputs, [])
    assert [(o.name, list(o.shape)) for o in response.outputs] == [("a", [1]), ("b", [2])]
    assert list(response.raw_output_contents) == [struct.pack("<f", 1.5), b"\2\0\0\0xy\0\0\0\0"]
    chosen = pb.ModelInferResponse()
    write_outputs(chosen, arrays, outputs, ["b"])
    assert [o.name for o in chosen.outputs] == ["b"]
    with pytest.raises(InvalidParameter, match="'d' is not an output; there are: a, b, c"):
        write_outputs(chosen, arrays, outputs, ["d"])
