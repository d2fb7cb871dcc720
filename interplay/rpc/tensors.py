"""Tensors of the Open Inference Protocol to numpy arrays and back.

Numbers are in row-major order, little-endian. Elements of BYTES become an object array of ``bytes``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from interplay.errors import InvalidInput, InvalidParameter
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb

Array = NDArray[Any]

BYTES = "BYTES"
# Data type → numpy's name, and the field of InferTensorContents that holds it.
_DTYPES: dict[str, tuple[str, str | None]] = {
    "BOOL": ("?", "bool_contents"),
    "UINT8": ("u1", "uint_contents"),
    "UINT16": ("<u2", "uint_contents"),
    "UINT32": ("<u4", "uint_contents"),
    "UINT64": ("<u8", "uint64_contents"),
    "INT8": ("i1", "int_contents"),
    "INT16": ("<i2", "int_contents"),
    "INT32": ("<i4", "int_contents"),
    "INT64": ("<i8", "int64_contents"),
    "FP16": ("<f2", None),  # only as raw bytes
    "FP32": ("<f4", "fp32_contents"),
    "FP64": ("<f8", "fp64_contents"),
    BYTES: ("O", "bytes_contents"),
}


@dataclass(frozen=True)
class Tensor:
    """A tensor that a model takes or gives.

    Attributes:
        name: Unique among the model's inputs or outputs.
        datatype: Of the protocol: ``FP32``, ``BYTES`` …
        shape: -1 where a size varies.
        optional: Whether an input may be left out.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    optional: bool = False

    def check(self, array: Array) -> None:
        """See that an input has this shape.

        Raises:
            InvalidParameter: It has not.
        """
        fits = len(array.shape) == len(self.shape) and all(
            wanted in (-1, size) for wanted, size in zip(self.shape, array.shape, strict=True)
        )
        if not fits or 0 in array.shape:
            raise InvalidParameter(
                f"{self.name} has the shape {list(array.shape)}; it must be {list(self.shape)}, not empty",
                field=self.name,
            )


def read_inputs(request: pb.ModelInferRequest, wanted: Sequence[Tensor]) -> dict[str, Array]:
    """Arrays of a request's inputs by name, checked.

    Raises:
        InvalidInput: Raw and other contents are mixed.
        InvalidParameter: An input is unknown, missing, of another data type or shape, or not all there.
    """
    raw = request.raw_input_contents
    if raw and (len(raw) != len(request.inputs) or any(t.HasField("contents") for t in request.inputs)):
        raise InvalidInput(
            f"raw_input_contents has {len(raw)} entries for {len(request.inputs)} inputs; it must have one "
            "for each, and then no input may have contents of its own"
        )
    by_name = {tensor.name: tensor for tensor in wanted}
    found: dict[str, Array] = {}
    for number, tensor in enumerate(request.inputs):
        spec = by_name.get(tensor.name)
        if spec is None or tensor.name in found:
            why = (
                "is given twice" if tensor.name in found else f"is not an input; there are: {_names(wanted)}"
            )
            raise InvalidParameter(f"{tensor.name!r} {why}", field=f"inputs[{number}].name")
        if tensor.datatype != spec.datatype:
            raise InvalidParameter(
                f"{tensor.name} is {tensor.datatype or 'of no data type'}; it must be {spec.datatype}",
                field=tensor.name,
            )
        if any(size < 0 for size in tensor.shape):
            raise InvalidParameter(
                f"{tensor.name} has a negative size: {list(tensor.shape)}", field=tensor.name
            )
        shape = tuple(tensor.shape)
        array = (
            from_raw(tensor.name, tensor.datatype, shape, raw[number])
            if raw
            else _from_contents(tensor, shape)
        )
        spec.check(array)
        found[tensor.name] = array
    if missing := [tensor.name for tensor in wanted if not tensor.optional and tensor.name not in found]:
        raise InvalidParameter(f"the input {missing[0]!r} is missing", field=missing[0])
    return found


def write_outputs(
    response: pb.ModelInferResponse,
    arrays: dict[str, Array],
    outputs: Sequence[Tensor],
    wanted: Sequence[str],
) -> None:
    """Put arrays into a response, as raw contents.

    Args:
        response: Where to.
        arrays: By name; an output may be missing where a model does not have it.
        outputs: What the model can give.
        wanted: Names that the request asked for; all if empty.

    Raises:
        InvalidParameter: An output is asked for that there is not.
    """
    if unknown := [name for name in wanted if name not in arrays]:
        raise InvalidParameter(
            f"{unknown[0]!r} is not an output; there are: {_names(outputs)}", field="outputs"
        )
    for tensor in outputs:
        if tensor.name in arrays and (not wanted or tensor.name in wanted):
            array = arrays[tensor.name]
            response.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=array.shape)
            response.raw_output_contents.append(to_raw(array, tensor.datatype))


def bytes_array(elements: Sequence[bytes]) -> Array:
    """(N,) array of BYTES."""
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array


def numpy_name(datatype: str) -> str | None:
    """numpy's name of a data type of numbers; None for others."""
    name, _ = _DTYPES.get(datatype, (None, None))
    return None if datatype == BYTES else name


def to_raw(array: Array, datatype: str) -> bytes:
    """An array's raw contents."""
    if datatype == BYTES:
        return b"".join(len(part).to_bytes(4, "little") + part for part in array.reshape(-1))
    return np.ascontiguousarray(array, dtype=_DTYPES[datatype][0]).tobytes()


def from_raw(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> Array:
    """The array of raw contents; not to be written to.

    Raises:
        InvalidParameter: They are not of that shape.
    """
    if datatype == BYTES:
        elements = _split(raw, name)
        _check_count(name, len(elements), shape)
        return bytes_array(elements).reshape(shape)
    dtype = np.dtype(_DTYPES[datatype][0])
    if len(raw) != prod(shape) * dtype.itemsize:
        raise InvalidParameter(
            f"{name} has {len(raw)} bytes; {datatype} of {list(shape)} takes {prod(shape) * dtype.itemsize}",
            field=name,
        )
    return np.frombuffer(raw, dtype).reshape(shape)


def _from_contents(tensor: pb.ModelInferRequest.InferInputTensor, shape: tuple[int, ...]) -> Array:
    name, field = _DTYPES[tensor.datatype]
    if field is None:
        raise InvalidParameter(f"{tensor.name}: FP16 is taken as raw contents only", field=tensor.name)
    values = getattr(tensor.contents, field)
    _check_count(tensor.name, len(values), shape)
    if tensor.datatype == BYTES:
        return bytes_array(values).reshape(shape)
    try:
        return np.array(list(values), dtype=name).reshape(shape)
    except OverflowError as error:
        raise InvalidParameter(
            f"{tensor.name} holds a number that {tensor.datatype} does not", field=tensor.name
        ) from error


def _check_count(name: str, count: int, shape: tuple[int, ...]) -> None:
    if count != prod(shape):
        raise InvalidParameter(
            f"{name} has {count} elements; the shape {list(shape)} takes {prod(shape)}", field=name
        )


def _split(raw: bytes, name: str) -> list[bytes]:
    elements, at = [], 0
    while at < len(raw):
        end = at + 4 + int.from_bytes(raw[at : at + 4], "little")
        if end > len(raw) or len(raw) - at < 4:
            raise InvalidParameter(f"{name}: an element's length runs past the end", field=name)
        elements.append(raw[at + 4 : end])
        at = end
    return elements


def _names(tensors: Sequence[Tensor]) -> str:
    return ", ".join(tensor.name for tensor in tensors)
