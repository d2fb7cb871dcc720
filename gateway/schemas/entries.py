"""What is said of an image of an index, and which of them count, to and from the protos."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from gateway.schemas.places import PlaceBody
from interplay.capabilities import DEFAULT_INDEX_CAPABILITY
from interplay.rpc.common.v1 import index_pb2 as pb

EXAMPLE_ENTRY: dict[str, Any] = {
    "id": "2019/07/img_0412.jpg",
    "uri": "s3://archive/2019/07/img_0412.jpg",
    "caption": "Sunset over the Barceloneta beach",
    "tags": ["beach", "sunset"],
    "place": {"latitude": 41.3784, "longitude": 2.1925},
    "time": "2019-07-14T19:42:00Z",
    "extra": {"photographer": "mg", "stars": 4},
}


def _moment(value: object) -> object:
    """RFC 3339 text is how JSON writes a time, also where values are taken strictly."""
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise ValueError("must be a time with an offset, e.g. 2026-11-25T10:15:00Z") from None


Moment = Annotated[AwareDatetime, BeforeValidator(_moment)]


class JsonBody(BaseModel):
    """Base of JSON bodies; unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class CircleBody(PlaceBody):
    """All places within a distance of one."""

    radius_m: float = Field(gt=0, le=20_037_508, description="Along the ground, in metres.")


class BoxBody(JsonBody):
    """Places between two parallels and two meridians; west beyond east crosses the date line."""

    south: float = Field(ge=-90, le=90)
    west: float = Field(ge=-180, le=180)
    north: float = Field(ge=-90, le=90)
    east: float = Field(ge=-180, le=180)


_Tag = Annotated[str, Field(min_length=1, max_length=100)]
Tags = Annotated[list[_Tag], Field(max_length=64)]


class FilterBody(JsonBody):
    """Which entries count; all conditions that are given must hold."""

    tags: Tags = Field(default_factory=list, description="Each of these is among the entry's tags.")
    any_tags: Tags = Field(default_factory=list, description="At least one of these is.")
    text: str = Field("", max_length=2000, description="All of these words stand in the caption.")
    after: Moment | None = Field(None, description="Taken at or after this time.")
    before: Moment | None = Field(None, description="Taken before this time.")
    near: CircleBody | None = Field(None, description="Taken within this circle.")
    box: BoxBody | None = Field(None, description="Taken within this box.")
    equals: dict[str, bool | int | str] = Field(
        default_factory=dict, description="Fields of the entry's `extra` with these values."
    )

    def to_proto(self) -> pb.Filter:
        """``Filter`` of the contract."""
        message = pb.Filter(tags=self.tags, any_tags=self.any_tags, text=self.text)
        if self.after:
            message.after.CopyFrom(timestamp_of(self.after))
        if self.before:
            message.before.CopyFrom(timestamp_of(self.before))
        if self.near:
            message.circle.CopyFrom(pb.Circle(centre=self.near.to_proto(), radius_m=self.near.radius_m))
        if self.box:
            message.box.CopyFrom(pb.Box(**self.box.model_dump()))
        if self.equals:
            message.equals_json = json.dumps(self.equals, ensure_ascii=False)
        return message


class EntryBody(JsonBody):
    """An image of an index."""

    id: str = Field(min_length=1, max_length=512, description="Unique in the index.")
    uri: str = Field("", max_length=2000, description="Where the image is.")
    caption: str = Field("", max_length=4000)
    tags: Tags = Field(default_factory=list)
    place: PlaceBody | None = Field(None, description="Where it was taken.")
    time: Moment | None = Field(None, description="When.")
    extra: dict[str, Any] = Field(default_factory=dict, description="Any further facts; at most 16 KiB.")

    def to_proto(self) -> pb.Entry:
        """``Entry`` of the contract."""
        message = pb.Entry(id=self.id, uri=self.uri, caption=self.caption, tags=self.tags)
        if self.place:
            message.place.CopyFrom(self.place.to_proto())
        if self.time:
            message.time.CopyFrom(timestamp_of(self.time))
        if self.extra:
            message.extra_json = json.dumps(self.extra, ensure_ascii=False)
        return message

    @staticmethod
    def fields_of(entry: pb.Entry) -> dict[str, Any]:
        """Fields of an entry of the contract."""
        return {
            "id": entry.id,
            "uri": entry.uri,
            "caption": entry.caption,
            "tags": list(entry.tags),
            "place": PlaceBody.from_proto(entry.place) if entry.HasField("place") else None,
            "time": datetime_of(entry.time) if entry.HasField("time") else None,
            "extra": json.loads(entry.extra_json) if entry.extra_json else {},
        }


def thumbnail_path(capability: str, index: str, entry: pb.Entry) -> str | None:
    """Path on this gateway of the thumbnail of an entry of a capability's index; None if it has none."""
    if not entry.thumbnail:
        return None
    query = "" if capability == DEFAULT_INDEX_CAPABILITY else f"?capability={capability}"
    return f"/v1/indexes/{index}/thumbnails/{quote(entry.id)}{query}"


def timestamp_of(moment: datetime) -> Timestamp:
    """A time of the protos."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def datetime_of(message: Timestamp) -> datetime:
    """A time of the protos as a UTC one."""
    return message.ToDatetime(tzinfo=UTC)
