"""Bodies of ``/v2``: the Open Inference Protocol's REST form. Names and shapes are the standard's."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Parameters = dict[str, bool | int | float | str]


class OpenError(BaseModel):
    """What went wrong."""

    error: str


class ServerLiveBody(BaseModel):
    """Whether the server answers."""

    live: bool


class ServerReadyBody(BaseModel):
    """Whether every part that requests need can be reached."""

    ready: bool


class ModelReadyBody(BaseModel):
    """Whether a model is ready."""

    name: str
    ready: bool


class ServerBody(BaseModel):
    """What answers here."""

    name: str
    version: str
    extensions: list[str]


class TensorBody(BaseModel):
    """A tensor that a model takes or gives; -1 where a size varies."""

    name: str
    datatype: str
    shape: list[int]


class ModelBody(BaseModel):
    """What a model takes and gives."""

    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorBody]
    outputs: list[TensorBody]
    properties: dict[str, str] = Field(default_factory=dict)


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class InputTensor(_Strict):
    """An input: its numbers as JSON, or in the bytes after the JSON (``binary_data_size``)."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = Field(
        default_factory=dict,
        description="binary_data_size: its bytes after the JSON; content_type base64: BYTES in that.",
    )
    data: list[Any] | None = Field(None, description="Row by row, nested or flat; texts for BYTES.")


class WantedOutput(_Strict):
    """An output that is asked for."""

    name: str
    parameters: Parameters = Field(
        default_factory=dict, description="binary_data: send it as bytes after the JSON."
    )


class InferBody(_Strict):
    """An inference."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "id": "42",
        "inputs": [
            {
                "name": "image",
                "datatype": "BYTES",
                "shape": [1],
                "parameters": {"content_type": "base64"},
                "data": ["/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA=="],
            }
        ],
        "outputs": [{"name": "vector"}],
    }

    id: str = ""
    parameters: Parameters = Field(
        default_factory=dict, description="binary_data_output: send all outputs as bytes after the JSON."
    )
    inputs: list[InputTensor]
    outputs: list[WantedOutput] = Field(default_factory=list)


class OutputTensor(BaseModel):
    """An output."""

    name: str
    datatype: str
    shape: list[int]
    parameters: Parameters = Field(default_factory=dict)
    data: list[Any] | None = Field(None, description="Row by row, flat; absent where it is sent as bytes.")


class InferAnswer(BaseModel):
    """The outputs."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "model_name": "embedding-image",
        "model_version": "2",
        "id": "42",
        "outputs": [{"name": "vector", "datatype": "FP32", "shape": [1, 4], "data": [0.5, 0.5, -0.5, 0.5]}],
    }

    model_name: str
    model_version: str
    id: str = ""
    parameters: Parameters = Field(default_factory=dict)
    outputs: list[OutputTensor]
