"""The Open Inference Protocol's REST form to its gRPC messages and back.

With the binary tensor extension a body is JSON, whose length the header ``Inference-Header-Content-Length``
says, and after it the raw bytes of tensors.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from pydantic import ValidationError

from gateway.schemas.open_inference import InferBody, InputTensor
from interplay.errors import InvalidInput, InvalidParameter, fault_message
from interplay.rpc.open_inference.v1 import open_inference_pb2 as pb
from interplay.rpc.tensors import BYTES, bytes_array, from_raw, numpy_name, to_raw

LENGTH_HEADER = "Inference-Header-Content-Length"


def infer_request(
    model: str, version: str, content: bytes, length: str | None
) -> tuple[pb.ModelInferRequest, frozenset[str] | bool]:
    """The message of a body, and the outputs that are wanted as bytes (True: all).

    Args:
        model, version: From the path.
        content: The body.
        length: Value of ``LENGTH_HEADER``; None where the body is all JSON.

    Raises:
        InvalidInput: It is not JSON, or cut off.
        InvalidParameter: A field is not as the protocol has it.
    """
    end = _json_length(length, len(content))
    body = _parsed(content[:end])
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=body.id)
    at = end
    for number, tensor in enumerate(body.inputs):
        field = f"inputs[{number}]"
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=_shape(tensor, field))
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            request.raw_input_contents.append(_raw(tensor, field))
            continue
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= len(content) - at:
            raise InvalidParameter(
                f"{field} has binary_data_size {size}; {len(content) - at} bytes are left", field=field
            )
        request.raw_input_contents.append(content[at : at + size])
        at += size
    if at != len(content):
        raise InvalidInput(f"{len(content) - at} bytes of the body belong to no input", field="body")
    for output in body.outputs:
        request.outputs.add(name=output.name)
    if body.parameters.get("binary_data_output") is True:
        return request, True
    return request, frozenset(o.name for o in body.outputs if o.parameters.get("binary_data") is True)


def infer_answer(response: pb.ModelInferResponse, binary: frozenset[str] | bool) -> tuple[bytes, int | None]:
    """Body of an answer, and the length of its JSON where bytes follow it.

    Args:
        response: The server's.
        binary: Outputs to send as bytes; True for all.
    """
    tails: list[bytes] = []
    outputs = []
    for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        shown: dict[str, Any] = {
            "name": tensor.name,
            "datatype": tensor.datatype,
            "shape": list(tensor.shape),
        }
        if binary is True or (binary is not False and tensor.name in binary):
            shown["parameters"] = {"binary_data_size": len(raw)}
            tails.append(raw)
        else:
            shown |= _data(tensor, raw)
        outputs.append(shown)
    answer = {"model_name": response.model_name, "model_version": response.model_version, "outputs": outputs}
    if response.id:
        answer["id"] = response.id
    head = json.dumps(answer, separators=(",", ":")).encode()
    return b"".join([head, *tails]), len(head) if tails else None


def _json_length(length: str | None, received: int) -> int:
    if length is None:
        return received
    if not length.isdecimal() or int(length) > received:
        raise InvalidInput(
            f"{LENGTH_HEADER} is {length[:20]!r}; the body has {received} bytes", field=LENGTH_HEADER
        )
    return int(length)


def _parsed(content: bytes) -> InferBody:
    try:
        return InferBody.model_validate_json(content)
    except ValidationError as error:
        fault = error.errors()[0]
        if fault["type"] == "json_invalid":
            raise InvalidInput(
                f"the body is not valid JSON: {fault['ctx']['error']}", field="body"
            ) from error
        field = ".".join(str(part) for part in fault["loc"])
        raise InvalidParameter(f"{field}: {fault_message(fault)}", field=field) from error


def _shape(tensor: InputTensor, field: str) -> list[int]:
    if any(not 0 <= size < 2**31 for size in tensor.shape):
        raise InvalidParameter(f"{field} has a size outside 0 to 2147483647: {tensor.shape[:8]}", field=field)
    return tensor.shape


def _raw(tensor: InputTensor, field: str) -> bytes:
    """Raw contents of a tensor that came as JSON."""
    if tensor.data is None:
        raise InvalidParameter(f"{field} has neither data nor binary_data_size", field=field)
    if tensor.datatype == BYTES:
        encoded = tensor.parameters.get("content_type") == "base64"
        return to_raw(bytes_array([_bytes(text, encoded, field) for text in _flat(tensor.data)]), BYTES)
    name = numpy_name(tensor.datatype)
    if name is None:
        raise InvalidParameter(f"{field}: there is no data type {tensor.datatype[:20]!r}", field=field)
    values = list(_flat(tensor.data))
    kinds = {bool} if tensor.datatype == "BOOL" else {int, float} if tensor.datatype[0] == "F" else {int}
    if not {type(value) for value in values} <= kinds:
        raise InvalidParameter(f"{field} has data that is not {tensor.datatype}", field=field)
    try:
        array = np.array(values, dtype=name)
    except (OverflowError, ValueError) as error:
        raise InvalidParameter(
            f"{field} has a number that {tensor.datatype} does not hold", field=field
        ) from error
    return array.tobytes()


def _bytes(text: Any, encoded: bool, field: str) -> bytes:
    if not isinstance(text, str):
        raise InvalidParameter(f"{field}: elements of BYTES are texts in JSON", field=field)
    try:
        return base64.b64decode(text, validate=True) if encoded else text.encode()
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(f"{field} has a text that cannot be decoded: {error}", field=field) from error


def _flat(data: Any) -> Iterator[Any]:
    waiting = [iter(data)]
    while waiting:
        for value in waiting[-1]:
            if isinstance(value, list):
                waiting.append(iter(value))
                break
            yield value
        else:
            waiting.pop()


def _data(tensor: pb.ModelInferResponse.InferOutputTensor, raw: bytes) -> dict[str, Any]:
    array = from_raw(tensor.name, tensor.datatype, tuple(tensor.shape), raw).reshape(-1)
    if tensor.datatype != BYTES:
        # JSON has no word for what is not a number; no model here answers with it.
        return {"data": array.tolist()}
    try:
        return {"data": [part.decode() for part in array]}
    except UnicodeDecodeError:
        texts = [base64.b64encode(part).decode() for part in array]
        return {"parameters": {"content_type": "base64"}, "data": texts}
