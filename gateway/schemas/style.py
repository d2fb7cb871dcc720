"""Options and answers of ``/v1/styles`` and ``/v1/style:…``, and their translation to and from the protos."""

from __future__ import annotations

import base64
import unicodedata
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from gateway.negotiation import PICTURES, PNG
from gateway.schemas.common import (
    EXAMPLE_TIMINGS,
    Answer,
    ModelBody,
    Options,
    PointBody,
    Quadrilateral,
    TimingsBody,
    list_from_form,
    polygon_from_proto,
    polygon_to_proto,
)
from interplay.errors import InvalidParameter
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb

MAX_MIXES = 16
MAX_PARTS = 8
MAX_WEIGHT = 4.0
MAX_NAME_CHARACTERS = 64
MAX_POLYGONS = 200
MAX_LINES = 4
# Room for the largest mix, with weights of a dozen digits and a blank here and there.
_MAX_MIX_CHARACTERS = 1000

_EXAMPLE_SHARED = {
    "width": 1280,
    "height": 720,
    "format": "png",
    "model": {"name": "style-scene", "version": "1", "digest": "sha256:" + "2" * 64},
    "detector": {"name": "textfcn-compact", "version": "1", "digest": "sha256:" + "0" * 64},
    "timings": EXAMPLE_TIMINGS,
}

FormatName = Literal["png", "jpeg", "webp"]


def mix_to_proto(text: str) -> pb.StyleMix:
    """A mix of styles that is written as ``a`` or ``a:0.7,b:0.3``; a part without weight counts 1.

    Raises:
        ValueError: Names the part, the limit and the value.
    """
    parts = text.split(",")
    if len(parts) > MAX_PARTS:
        raise ValueError(f"the mix has {len(parts)} parts; the limit is {MAX_PARTS}")
    mix = pb.StyleMix()
    for part in parts:
        name, colon, weight = (piece.strip() for piece in part.partition(":"))
        if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
            raise ValueError(
                f"the name of a style has {len(name)} characters; it must have 1 to {MAX_NAME_CHARACTERS}"
            )
        if name in {known.style for known in mix.parts}:
            raise ValueError(f"the style {name!r} is there more than once")
        mix.parts.append(pb.StyleWeight(style=name, weight=_weight(name, weight) if colon else None))
    return mix


def mix_from_proto(mix: pb.StyleMix) -> str:
    """A mix as ``mix_to_proto`` reads it; weights of 1 are left out."""
    return ",".join(
        part.style if not part.HasField("weight") or part.weight == 1 else f"{part.style}:{part.weight:g}"
        for part in mix.parts
    )


def _weight(name: str, text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        raise ValueError(f"the weight of {name!r} is {text!r}, which is no number") from None
    if not 0.0 <= weight <= MAX_WEIGHT:  # also refuses NaN
        raise ValueError(f"the weight of {name!r} is {weight:g}; it must be 0 to {MAX_WEIGHT:g}")
    return weight


def _checked_mix(text: str) -> str:
    mix_to_proto(text)
    return text


def _checked_words(text: str) -> str:
    if not text.strip():
        raise ValueError("there must be something to draw")
    lines = text.count("\n") + 1
    if lines > MAX_LINES:
        raise ValueError(f"there are {lines} lines; the limit is {MAX_LINES}")
    for letter in text:
        if letter != "\n" and unicodedata.category(letter).startswith("C"):
            raise ValueError(f"there is the control character U+{ord(letter):04X}")
    return text


def _plain_line_breaks(value: object) -> object:
    """Browsers send the line breaks of a form field as CR LF."""
    return value.replace("\r\n", "\n") if isinstance(value, str) else value


Mix = Annotated[str, Field(max_length=_MAX_MIX_CHARACTERS), AfterValidator(_checked_mix)]
_Mixes = Annotated[list[Mix], Field(min_length=1, max_length=MAX_MIXES)]
_Words = Annotated[str, Field(min_length=1, max_length=80)]
_Polygon = Annotated[list[PointBody], Field(min_length=3, max_length=64)]
_Polygons = Annotated[list[_Polygon], Field(min_length=1, max_length=MAX_POLYGONS)]


class PictureOptions(Options):
    """How the pictures of an answer are written."""

    format: FormatName | None = Field(
        None,
        description="How the pictures are written: in JSON and multipart answers `png` unless set. An answer "
        "that is a picture itself is what `Accept` asks for, which this must fit.",
    )
    quality: int | None = Field(
        None, ge=1, le=100, description="Of JPEG and WebP; PNG takes no notice of it. Default 92."
    )

    @property
    def picture_types(self) -> tuple[str, ...]:
        """Media types of pictures, the one of ``format`` first."""
        return tuple(sorted(PICTURES, key=lambda media_type: media_type != f"image/{self.format}"))

    def picture_type(self, answer_type: str) -> str:
        """Media type of the pictures in an answer of a media type.

        Raises:
            InvalidParameter: The answer is a picture, of another kind than ``format`` says.
        """
        if answer_type not in PICTURES:
            return f"image/{self.format or 'png'}"
        if self.format and answer_type != f"image/{self.format}":
            raise InvalidParameter(
                f"format {self.format} does not fit Accept, which asks for {answer_type}", field="format"
            )
        return answer_type


class TransferOptions(PictureOptions):
    """Options of ``style:transfer``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"style": "warm-neon:0.7,white-on-red:0.3", "mode": "selective"}

    style: Mix | None = Field(
        None,
        description="A style, or a mix of styles of one domain with weights from 0 to 4, such as "
        "`warm-neon:0.7,white-on-red:0.3`; 1 where none is given. Either this or `styles`.",
    )
    styles: Annotated[
        _Mixes | None, BeforeValidator(list_from_form, json_schema_input_type=_Mixes | None)
    ] = Field(None, description="Several such mixes, each for a result of its own; a JSON list in a form.")
    mode: Literal["whole", "selective", "end_to_end", "polygons"] = Field(
        "selective",
        description="Which pixels are restyled: all; text, found by the text detection server; text, found "
        "by the restyling network itself; or what lies in `polygons`.",
    )
    heat_floor: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Mode `selective`: text probability below this counts as none. Default: the model's.",
    )
    polygons: Annotated[
        _Polygons | None, BeforeValidator(list_from_form, json_schema_input_type=_Polygons | None)
    ] = Field(None, description="Mode `polygons`: 3 to 64 [x, y] points each; a JSON list in a form.")

    @model_validator(mode="after")
    def _fields_fit_together(self) -> TransferOptions:
        if (self.style is None) == (self.styles is None):
            given = "neither is" if self.style is None else "both are"
            raise InvalidParameter(f"exactly one of style and styles is needed; {given} there", field="style")
        if self.heat_floor is not None and self.mode != "selective":
            raise InvalidParameter(
                f"heat_floor is for the mode selective; the mode is {self.mode}", field="heat_floor"
            )
        if self.polygons is not None and self.mode != "polygons":
            raise InvalidParameter(
                f"polygons are for the mode polygons; the mode is {self.mode}", field="polygons"
            )
        if self.polygons is None and self.mode == "polygons":
            raise InvalidParameter("the mode polygons needs polygons", field="polygons")
        return self

    @property
    def mixes(self) -> list[pb.StyleMix]:
        """The mixes, one for each result."""
        return [mix_to_proto(text) for text in self.styles or [self.style or ""]]

    def to_request(self, content: bytes, picture_type: str = PNG) -> pb.StylizeRequest:
        """The proto request for an image file with these options."""
        return pb.StylizeRequest(
            image=common_pb2.Image(content=content),
            mixes=self.mixes,
            mode=pb.StyleMode.Value(f"STYLE_MODE_{self.mode.upper()}"),
            heat_floor=self.heat_floor,
            polygons=[polygon_to_proto(polygon) for polygon in self.polygons or ()],
            format=_format_to_proto(picture_type),
            quality=self.quality,
        )


class RenderOptions(PictureOptions):
    """Options of ``style:render``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"text": "OPEN", "style": "warm-neon", "line_height": 96}

    text: Annotated[
        _Words,
        AfterValidator(_checked_words),
        BeforeValidator(_plain_line_breaks, json_schema_input_type=_Words),
    ] = Field(description="The words, at most 4 lines; a single one if they go into an image.")
    style: Mix | None = Field(
        None,
        description="A style or a mix, as of `style:transfer`. Only with an image it may be left out: then "
        "the looks of the text in the region are kept.",
    )
    line_height: int | None = Field(
        None, ge=16, le=256, description="Without an image: height of a line in pixels. Default 64."
    )
    region: Annotated[
        Quadrilateral | None, BeforeValidator(list_from_form, json_schema_input_type=Quadrilateral | None)
    ] = Field(
        None,
        description="With an image: where the words go, four [x, y] points, clockwise from the corner at "
        "which reading starts; text that is there is removed. Default: the largest word of the image. "
        "A JSON list in a form.",
    )

    def to_request(self, content: bytes | None, picture_type: str = PNG) -> pb.RenderTextRequest:
        """The proto request for an image file, or for none, with these options.

        Raises:
            InvalidParameter: A field is missing, or makes no sense, with an image or without one.
        """
        if content is None and self.style is None:
            raise InvalidParameter("style is needed where there is no image", field="style")
        if content is None and self.region is not None:
            raise InvalidParameter("region is a place in an image, and there is none", field="region")
        if content is not None and self.line_height is not None:
            raise InvalidParameter(
                "line_height is for words without an image; in one, the region decides", field="line_height"
            )
        return pb.RenderTextRequest(
            text=self.text,
            mix=None if self.style is None else mix_to_proto(self.style),
            line_height=self.line_height,
            image=None if content is None else common_pb2.Image(content=content),
            region=None if self.region is None else polygon_to_proto(self.region),
            format=_format_to_proto(picture_type),
            quality=self.quality,
        )


class StyleBody(BaseModel):
    """A style."""

    name: str
    domain: str = Field(description="What it was learned from: `scene`, `print` or `handwriting`.")
    thumbnail: str | None = Field(
        description="base64 of a PNG, a word in this style; null where thumbnails are left out.",
        json_schema_extra={"format": "byte"},
    )
    model: ModelBody = Field(description="Only styles of one model can be mixed.")
    end_to_end: bool = Field(description="Whether the mode `end_to_end` has it, too.")


class StyleList(BaseModel):
    """Answer of ``GET /v1/styles``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "styles": [
            {
                "name": "warm-neon",
                "domain": "scene",
                "thumbnail": "iVBORw0KGgo=",
                "model": _EXAMPLE_SHARED["model"],
                "end_to_end": True,
            }
        ]
    }

    styles: list[StyleBody] = Field(description="By domain.")

    @classmethod
    def from_proto(cls, proto: pb.ListStylesResponse) -> StyleList:
        """From the server's response."""
        styles = [
            StyleBody.model_construct(
                name=style.name,
                domain=style.domain,
                thumbnail=_base64(style.thumbnail) if style.thumbnail else None,
                model=ModelBody.from_proto(style.model),
                end_to_end=style.end_to_end,
            )
            for style in proto.styles
        ]
        return cls.model_construct(styles=styles)


class PictureAnswer(Answer):
    """Parts of both answers."""

    format: FormatName = Field(description="How the pictures are written.")
    model: ModelBody = Field(description="The model that restyled; of the first result if several did.")
    detector: ModelBody | None = Field(
        description="The model that found the text; null where none was asked."
    )


class StyledBody(BaseModel):
    """A restyled image."""

    style: str = Field(description="The mix.")
    content: str = Field(description="base64 of the picture.", json_schema_extra={"format": "byte"})


class TransferAnswer(PictureAnswer):
    """Answer of ``style:transfer`` as JSON."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        **_EXAMPLE_SHARED,
        "styled_ratio": 0.043,
        "images": [{"style": "warm-neon:0.7,white-on-red:0.3", "content": "iVBORw0KGgo="}],
    }

    styled_ratio: float = Field(description="Part of the pixels that were restyled at all, 0 to 1.")
    images: list[StyledBody] = Field(description="The results, in the order of the mixes.")

    @classmethod
    def from_proto(
        cls, proto: pb.StylizeResponse, styles: Sequence[str], timings: TimingsBody
    ) -> TransferAnswer:
        """From the server's response and the mixes that were asked for."""
        images = [
            StyledBody.model_construct(style=style, content=_base64(content))
            for style, content in zip(styles, proto.images, strict=True)
        ]
        return cls.model_construct(
            **_shared(proto, timings), styled_ratio=round(proto.styled_ratio, 6), images=images
        )


class RenderAnswer(PictureAnswer):
    """Answer of ``style:render`` as JSON."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        **_EXAMPLE_SHARED,
        "image": "iVBORw0KGgo=",
        "style": "warm-neon",
        "region": [[118.5, 40.0], [240.0, 44.5], [239.0, 82.0], [117.5, 77.5]],
    }

    image: str = Field(
        description="base64 of the picture: the words with transparency around them, or the whole photo.",
        json_schema_extra={"format": "byte"},
    )
    style: str = Field(description="The mix that was used: as asked for, or the style found nearest.")
    region: Quadrilateral | None = Field(description="Where in the photo the words stand; null without one.")

    @classmethod
    def from_proto(cls, proto: pb.RenderTextResponse, timings: TimingsBody) -> RenderAnswer:
        """From the server's response."""
        return cls.model_construct(
            **_shared(proto, timings),
            image=_base64(proto.image),
            style=mix_from_proto(proto.mix),
            region=polygon_from_proto(proto.region) if proto.HasField("region") else None,
        )


def _shared(proto: Any, timings: TimingsBody) -> dict[str, Any]:
    return {
        "width": proto.width,
        "height": proto.height,
        "format": _format_name(proto.format),
        "model": ModelBody.from_proto(proto.model),
        "detector": ModelBody.from_proto(proto.detector) if proto.HasField("detector") else None,
        "timings": timings,
    }


def _format_to_proto(picture_type: str) -> pb.PictureFormat:
    return pb.PictureFormat.Value(f"PICTURE_FORMAT_{picture_type.removeprefix('image/').upper()}")


def _format_name(proto: pb.PictureFormat) -> str:
    return pb.PictureFormat.Name(proto).removeprefix("PICTURE_FORMAT_").lower()


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
