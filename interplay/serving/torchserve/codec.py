"""Items and results of predictors as bytes, and back: what a model server and TorchServe's handler send.

A message is a header of JSON, its length in eight bytes before it, and the buffers of its arrays behind it,
each at a multiple of 64. The reader makes nothing but numbers, texts, containers, arrays, tensors, errors of
``interplay.errors`` and the dataclasses that it was given: no code is ever named or run.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from interplay.errors import InternalError, InterplayError, error_from_reason

_ALIGNMENT = 64
_PREFIX = 8
_DTYPES = frozenset(
    np.dtype(name).str
    for name in ("?", "i1", "i2", "<i4", "<i8", "u1", "u2", "<u4", "<u8", "<f2", "<f4", "<f8")
)
_TENSORS = {"bfloat16": "<i2", "float16": "<f2", "float32": "<f4", "float64": "<f8", "int64": "<i8"}
_PLAIN = (str, int, float, bool, type(None))


class Codec:
    """Writes and reads messages.

    Args:
        types: Dataclasses that may occur; both sides name the same.

    Raises:
        ValueError: Two have one name, or one is no dataclass.
    """

    def __init__(self, types: Sequence[type]) -> None:
        self._types: dict[str, Any] = {}
        for kind in types:
            if not dataclasses.is_dataclass(kind) or self._types.get(kind.__name__, kind) is not kind:
                raise ValueError(f"{kind.__name__} is no dataclass, or the name is taken")
            self._types[kind.__name__] = kind

    def encode(self, value: Any) -> bytes:
        """The message of a value.

        Raises:
            TypeError: A part of it is of a kind that cannot be sent.
        """
        buffers = _Buffers()
        tree = self._tree(value, buffers)
        header = json.dumps(tree, separators=(",", ":")).encode()
        start = _aligned(_PREFIX + len(header))
        message = bytearray(start + buffers.length)
        message[:_PREFIX] = len(header).to_bytes(_PREFIX, "little")
        message[_PREFIX : _PREFIX + len(header)] = header
        for at, content in buffers.parts:
            message[start + at : start + at + len(content)] = content
        return bytes(message)

    def decode(self, message: bytes | bytearray | memoryview) -> Any:
        """The value of a message; its arrays may be written to.

        Raises:
            InternalError: It is not one, or holds what is not allowed.
        """
        view = memoryview(message if isinstance(message, bytearray) else bytearray(message))
        try:
            length = int.from_bytes(view[:_PREFIX], "little")
            if len(view) < _PREFIX or length > len(view) - _PREFIX:
                raise ValueError("it is cut off")
            tree = json.loads(bytes(view[_PREFIX : _PREFIX + length]))
            return self._value(tree, view[_aligned(_PREFIX + length) :])
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InternalError(f"not a message of a predictor: {error}") from error

    def _tree(self, value: Any, buffers: _Buffers) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, _PLAIN):
            return value
        if isinstance(value, np.ndarray):
            return {"$": "array", **buffers.add(value)}
        if isinstance(value, list):
            return [self._tree(part, buffers) for part in value]
        if isinstance(value, tuple):
            return {"$": "tuple", "of": [self._tree(part, buffers) for part in value]}
        if isinstance(value, Mapping):
            pairs = [[self._tree(k, buffers), self._tree(v, buffers)] for k, v in value.items()]
            return {"$": "map", "of": pairs}
        if isinstance(value, bytes):
            return {"$": "bytes", **buffers.add(np.frombuffer(value, np.uint8))}
        if isinstance(value, InterplayError):
            return {
                "$": "error",
                "reason": value.row.reason,
                "message": value.message,
                "field": value.field,
                "retry_after_s": value.retry_after_s,
                "metadata": value.metadata,
            }
        if _is_tensor(value):
            return self._tensor_tree(value, buffers)
        name = type(value).__name__
        if self._types.get(name) is type(value):
            fields = {f.name: self._tree(getattr(value, f.name), buffers) for f in dataclasses.fields(value)}
            return {"$": "object", "type": name, "fields": fields}
        raise TypeError(f"{name} cannot be sent; the codec knows: {', '.join(sorted(self._types))}")

    def _tensor_tree(self, value: Any, buffers: _Buffers) -> dict[str, Any]:
        import torch

        dtype = str(value.dtype).removeprefix("torch.")
        if dtype not in _TENSORS:
            raise TypeError(f"tensors of {dtype} cannot be sent")
        plain = value.detach().cpu().contiguous()
        numbers = (plain.view(torch.int16) if dtype == "bfloat16" else plain).numpy()
        return {"$": "tensor", "as": dtype, **buffers.add(numbers)}

    def _value(self, tree: Any, buffers: memoryview) -> Any:
        if isinstance(tree, _PLAIN):
            return tree
        if isinstance(tree, list):
            return [self._value(part, buffers) for part in tree]
        kind = tree["$"]
        if kind == "array":
            return _array(tree, buffers)
        if kind == "tuple":
            return tuple(self._value(part, buffers) for part in tree["of"])
        if kind == "map":
            return {self._value(k, buffers): self._value(v, buffers) for k, v in tree["of"]}
        if kind == "bytes":
            return _array(tree, buffers).tobytes()
        if kind == "error":
            return error_from_reason(
                tree["reason"],
                tree["message"],
                field=tree["field"],
                retry_after_s=tree["retry_after_s"],
                metadata=tree["metadata"],
            )
        if kind == "tensor":
            return _tensor(tree, buffers)
        if kind == "object":
            if tree["type"] not in self._types:
                raise ValueError(f"{tree['type']} is not expected")
            return self._types[tree["type"]](
                **{name: self._value(part, buffers) for name, part in tree["fields"].items()}
            )
        raise ValueError(f"{kind} is not expected")


class _Buffers:
    """Arrays of a message on their way into it."""

    def __init__(self) -> None:
        self.parts: list[tuple[int, memoryview]] = []
        self.length = 0

    def add(self, array: np.ndarray) -> dict[str, Any]:
        """Note an array; says where it will be."""
        plain = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
        if plain.dtype.str not in _DTYPES:
            raise TypeError(f"arrays of {plain.dtype} cannot be sent")
        entry = {"dtype": plain.dtype.str, "shape": list(array.shape), "at": self.length}
        self.parts.append((self.length, plain.reshape(-1).view(np.uint8).data))
        self.length = _aligned(self.length + plain.nbytes)
        return entry


def _array(tree: dict[str, Any], buffers: memoryview) -> np.ndarray:
    if tree["dtype"] not in _DTYPES:
        raise ValueError(f"arrays of {tree['dtype']!r} are not expected")
    shape = [int(size) for size in tree["shape"]]
    dtype, at = np.dtype(tree["dtype"]), int(tree["at"])
    count = 1
    for size in shape:
        count *= size
    if min(shape, default=0) < 0 or at < 0 or at + count * dtype.itemsize > len(buffers):
        raise ValueError(f"an array of {shape} is not all there")
    return np.frombuffer(buffers, dtype, count, at).reshape(shape)


def _tensor(tree: dict[str, Any], buffers: memoryview) -> Any:
    import torch

    if _TENSORS.get(tree["as"]) != tree["dtype"]:
        raise ValueError(f"tensors of {tree['as']!r} are not expected")
    tensor = torch.from_numpy(_array(tree, buffers).copy())
    return tensor.view(torch.bfloat16) if tree["as"] == "bfloat16" else tensor


def _is_tensor(value: Any) -> bool:
    torch = sys.modules.get("torch")  # where nobody has loaded it, nothing can be a tensor
    return torch is not None and isinstance(value, torch.Tensor)


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT
