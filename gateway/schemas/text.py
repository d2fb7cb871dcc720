"""Options and answers of ``/v1/text:…``, and their translation to and from the protos."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar, Literal

from google.protobuf.message import Message
from pydantic import BaseModel, BeforeValidator, Field, model_validator

from gateway.schemas.common import (
    EXAMPLE_MODEL,
    EXAMPLE_TIMINGS,
    Answer,
    ModelBody,
    Options,
    Quadrilateral,
    TimingsBody,
    list_from_form,
    polygon_from_proto,
    polygon_to_proto,
)
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb

MAX_REGIONS = 2000

EXAMPLE_POLYGON = [[118.5, 40.0], [240.0, 44.5], [239.0, 82.0], [117.5, 77.5]]
_EXAMPLE_SHARED = {"width": 1280, "height": 720, "model": EXAMPLE_MODEL, "timings": EXAMPLE_TIMINGS}

PixelThreshold = Annotated[
    float | None,
    Field(gt=0, lt=1, description="A pixel counts as text when its probability is at least this."),
]


class SegmentOptions(Options):
    """Options of ``text:segment``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"format": "png"}

    format: Literal["png", "float16"] = Field(
        "png",
        description="How a JSON answer holds the heatmap: 8-bit grey PNG, value = round(255 p), or raw "
        "little-endian half floats, row by row.",
    )

    def to_request(self, content: bytes) -> pb.SegmentRequest:
        """The proto request for an image file with these options."""
        form = pb.HEATMAP_FORMAT_FLOAT16 if self.format == "float16" else pb.HEATMAP_FORMAT_PNG
        return pb.SegmentRequest(image=common_pb2.Image(content=content), format=form)


class DetectOptions(Options):
    """Options of ``text:detect``; what is left out takes the model's default, see ``/v1/models``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"score_threshold": 0.5, "max_regions": 100}

    method: Literal["components"] | None = Field(default=None, description="How regions are found.")
    pixel_threshold: PixelThreshold = None
    score_threshold: float | None = Field(
        None, ge=0, le=1, description="Regions with a lower mean probability are left out."
    )
    max_regions: int | None = Field(
        None, ge=1, le=MAX_REGIONS, description="Most regions to return, best first."
    )

    def to_proto(self) -> pb.DetectOptions:
        """The options as the server takes them."""
        return pb.DetectOptions(
            method=pb.DETECT_METHOD_COMPONENTS if self.method else pb.DETECT_METHOD_UNSPECIFIED,
            pixel_threshold=self.pixel_threshold,
            score_threshold=self.score_threshold,
            max_regions=self.max_regions,
        )

    def to_request(self, content: bytes) -> Message:
        """The proto request for an image file with these options."""
        return pb.DetectRequest(image=common_pb2.Image(content=content), options=self.to_proto())


class ReadOptions(DetectOptions):
    """Options of ``text:read``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"min_confidence": 0.5}

    min_confidence: float | None = Field(
        None, ge=0, le=1, description="Words read with a lower confidence are left out."
    )
    polygons: Annotated[
        list[Quadrilateral] | None,
        Field(max_length=MAX_REGIONS),
        BeforeValidator(list_from_form, json_schema_input_type=list[Quadrilateral] | None),
    ] = Field(
        None,
        description="Read these quadrilaterals instead of finding regions: four [x, y] points each, "
        "clockwise from the corner at which reading starts. Not together with the options of finding.",
    )

    @model_validator(mode="after")
    def _either_find_or_given(self) -> ReadOptions:
        if self.polygons is not None:
            finding = [name for name in DetectOptions.model_fields if getattr(self, name) is not None]
            if finding:
                raise ValueError(f"polygons cannot be combined with {', '.join(finding)}")
            if not self.polygons:
                raise ValueError("polygons must hold at least one quadrilateral")
        return self

    def to_request(self, content: bytes) -> pb.ReadRequest:
        """The proto request for an image file with these options."""
        return pb.ReadRequest(
            image=common_pb2.Image(content=content),
            options=None if self.polygons else self.to_proto(),
            min_confidence=self.min_confidence,
            polygons=[polygon_to_proto(polygon) for polygon in self.polygons or ()],
        )


class PresenceOptions(Options):
    """Options of ``text:presence``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"pixel_threshold": 0.5}

    pixel_threshold: PixelThreshold = None

    def to_request(self, content: bytes) -> pb.PresenceRequest:
        """The proto request for an image file with these options."""
        return pb.PresenceRequest(
            image=common_pb2.Image(content=content), pixel_threshold=self.pixel_threshold
        )


class SegmentAnswer(Answer):
    """Answer of ``text:segment`` as JSON."""

    EXAMPLE: ClassVar[dict[str, Any]] = {**_EXAMPLE_SHARED, "heatmap": "iVBORw0KGgo=", "format": "png"}

    model: ModelBody
    heatmap: str = Field(description="base64 of the heatmap.", json_schema_extra={"format": "byte"})
    format: Literal["png", "float16"]

    @classmethod
    def from_proto(cls, proto: pb.SegmentResponse, timings: TimingsBody) -> SegmentAnswer:
        """From the server's response."""
        return cls.model_construct(
            **_shared(proto, timings),
            heatmap=base64.b64encode(proto.heatmap).decode("ascii"),
            format="float16" if proto.format == pb.HEATMAP_FORMAT_FLOAT16 else "png",
        )


class RegionBody(BaseModel):
    """A word region."""

    polygon: Quadrilateral = Field(
        description="Four [x, y] points in pixels, clockwise from the corner at which reading starts."
    )
    score: float = Field(description="Mean text probability inside, 0 to 1.")


class DetectAnswer(Answer):
    """Answer of ``text:detect``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        **_EXAMPLE_SHARED,
        "regions": [{"polygon": EXAMPLE_POLYGON, "score": 0.9134}],
    }

    model: ModelBody
    regions: list[RegionBody] = Field(description="Best score first.")

    @classmethod
    def from_proto(cls, proto: pb.DetectResponse, timings: TimingsBody) -> DetectAnswer:
        """From the server's response."""
        regions = [
            RegionBody.model_construct(
                polygon=polygon_from_proto(region.polygon), score=round(region.score, 4)
            )
            for region in proto.regions
        ]
        return cls.model_construct(**_shared(proto, timings), regions=regions)


class WordBody(RegionBody):
    """A word region with its text."""

    text: str = Field(description="The recognised text; empty when nothing could be read.")
    confidence: float = Field(description="Mean confidence over the characters, 0 to 1.")


class ReadAnswer(Answer):
    """Answer of ``text:read``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        **_EXAMPLE_SHARED,
        "reader": {"name": "ppocrv4-rec", "version": "4", "digest": "sha256:" + "1" * 64},
        "text": "EXIT",
        "words": [{"polygon": EXAMPLE_POLYGON, "score": 0.9134, "text": "EXIT", "confidence": 0.987}],
    }

    model: ModelBody | None = Field(
        description="The model that found the regions; null when polygons were given."
    )
    reader: ModelBody = Field(description="The model that read the words.")
    text: str = Field(description="All words: those of a line joined by spaces, lines by line breaks.")
    words: list[WordBody] = Field(description="In reading order.")

    @classmethod
    def from_proto(cls, proto: pb.ReadResponse, timings: TimingsBody) -> ReadAnswer:
        """From the server's response."""
        words = [
            WordBody.model_construct(
                polygon=polygon_from_proto(word.region.polygon),
                score=round(word.region.score, 4),
                text=word.text,
                confidence=round(word.confidence, 4),
            )
            for word in proto.words
        ]
        shared = _shared(proto, timings)
        if not proto.HasField("model"):
            shared["model"] = None
        return cls.model_construct(
            **shared, reader=ModelBody.from_proto(proto.reader), text=proto.text, words=words
        )


class PresenceAnswer(Answer):
    """Answer of ``text:presence``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        **_EXAMPLE_SHARED,
        "mean_probability": 0.0312,
        "max_probability": 0.998,
        "text_area_ratio": 0.021,
        "mean_brightness": 112.4,
    }

    model: ModelBody
    mean_probability: float = Field(description="Mean text probability over all pixels, 0 to 1.")
    max_probability: float = Field(description="Largest text probability, 0 to 1.")
    text_area_ratio: float = Field(description="Part of the pixels that count as text, 0 to 1.")
    mean_brightness: float = Field(description="Mean grey value of the image, 0 to 255.")

    @classmethod
    def from_proto(cls, proto: pb.PresenceResponse, timings: TimingsBody) -> PresenceAnswer:
        """From the server's response."""
        return cls.model_construct(
            **_shared(proto, timings),
            mean_probability=round(proto.mean_probability, 6),
            max_probability=round(proto.max_probability, 6),
            text_area_ratio=round(proto.text_area_ratio, 6),
            mean_brightness=round(proto.mean_brightness, 2),
        )


def _shared(proto: Any, timings: TimingsBody) -> dict[str, Any]:
    return {
        "width": proto.width,
        "height": proto.height,
        "model": ModelBody.from_proto(proto.model),
        "timings": timings,
    }
