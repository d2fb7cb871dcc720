"""Parts of many bodies: image input, model information, timings, polygons."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from google.protobuf.message import Message
from pydantic import BaseModel, ConfigDict, Field

from interplay.rpc.common.v1 import common_pb2

# [x, y] in pixels of the upright image.
PointBody = Annotated[list[float], Field(min_length=2, max_length=2)]
Quadrilateral = Annotated[list[PointBody], Field(min_length=4, max_length=4)]


def list_from_form(value: object) -> object:
    """A list in a form field is written as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("must be a JSON list") from None
    return value


def polygon_to_proto(points: Sequence[Sequence[float]]) -> common_pb2.Polygon:
    """``interplay.common.v1.Polygon`` of [x, y] points."""
    return common_pb2.Polygon(points=[common_pb2.Point(x=x, y=y) for x, y in points])


def polygon_from_proto(polygon: common_pb2.Polygon) -> list[list[float]]:
    """The [x, y] points of ``interplay.common.v1.Polygon``."""
    return [[round(point.x, 2), round(point.y, 2)] for point in polygon.points]


class Options(BaseModel):
    """Base of the option fields of an operation on an image; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    # Shown in the OpenAPI description.
    EXAMPLE: ClassVar[dict[str, Any]] = {}

    @abstractmethod
    def to_request(self, content: bytes) -> Message:
        """The proto request for an image file with these options."""


class ImageSource(BaseModel):
    """An image in a JSON body: exactly one of ``content`` and ``uri``."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"oneOf": [{"required": ["content"]}, {"required": ["uri"]}]},
    )

    content: str = Field(
        default="",
        description="The file, base64 (standard alphabet, padded).",
        json_schema_extra={"format": "byte"},
    )
    uri: str = Field(
        default="",
        max_length=2048,
        description="https URL of the file; only for hosts that this installation allows.",
        json_schema_extra={"format": "uri"},
    )


class ModelBody(BaseModel):
    """Which model answered."""

    name: str
    version: str
    digest: str = Field(description="`sha256:` and 64 hexadecimal digits.")

    @classmethod
    def from_proto(cls, proto: Any) -> ModelBody:
        """From ``interplay.common.v1.ModelInfo``."""
        return cls.model_construct(name=proto.name, version=proto.version, digest=proto.digest)


class TimingsBody(BaseModel):
    """Where the time of the request went, in milliseconds."""

    STAGES: ClassVar[tuple[str, ...]] = ("queue", "decode", "preprocess", "infer", "postprocess")

    queue_ms: float = Field(description="Waiting for a place in a batch.")
    decode_ms: float = Field(description="Image decoding.")
    preprocess_ms: float = Field(description="Preparation of the model's input.")
    infer_ms: float = Field(description="The model itself; the whole batch's time.")
    postprocess_ms: float = Field(description="Model output to answer.")
    total_ms: float = Field(description="From the arrival of the request at the gateway.")
    batch_size: int = Field(description="Items in the largest batch this request was part of.")

    @classmethod
    def from_proto(cls, proto: Any, total_ms: float) -> TimingsBody:
        """From ``interplay.common.v1.Timings``."""
        stages = {f"{stage}_ms": round(getattr(proto, f"{stage}_ns") / 1e6, 3) for stage in cls.STAGES}
        return cls.model_construct(**stages, total_ms=round(total_ms, 3), batch_size=proto.batch_size)

    def server_timing(self) -> str:
        """Value of the ``Server-Timing`` header."""
        return ", ".join(f"{name};dur={getattr(self, f'{name}_ms'):g}" for name in (*self.STAGES, "total"))


EXAMPLE_MODEL = {"name": "textfcn-compact", "version": "1", "digest": "sha256:" + "0" * 64}
EXAMPLE_TIMINGS = {
    "queue_ms": 1.2,
    "decode_ms": 8.4,
    "preprocess_ms": 3.1,
    "infer_ms": 96.0,
    "postprocess_ms": 5.5,
    "total_ms": 117.9,
    "batch_size": 1,
}


class Exemplified(BaseModel):
    """Base of JSON bodies with an example."""

    # Shown in the OpenAPI description.
    EXAMPLE: ClassVar[dict[str, Any]] = {}


class Answer(Exemplified):
    """Base of the JSON answers of operations on an image."""

    width: int = Field(description="Pixels across of the upright image.")
    height: int = Field(description="Pixels down of the upright image.")
    timings: TimingsBody
