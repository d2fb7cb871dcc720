"""Bodies of ``/v1/search``, and what is said of an image of an index, to and from the protos."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from gateway.schemas.common import EXAMPLE_TIMINGS, Exemplified, ModelBody, Options, TimingsBody
from gateway.schemas.places import PlaceBody
from interplay.errors import InvalidParameter
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb

MAX_PARTS = 32
MAX_WEIGHT = 10.0

_EXAMPLE_MODEL = {"name": "embedding-words", "version": "1", "digest": "sha256:" + "4" * 64}
EXAMPLE_ENTRY: dict[str, Any] = {
    "id": "2019/07/img_0412.jpg",
    "uri": "s3://archive/2019/07/img_0412.jpg",
    "caption": "Sunset over the Barceloneta beach",
    "tags": ["beach", "sunset"],
    "place": {"latitude": 41.3784, "longitude": 2.1925},
    "time": "2019-07-14T19:42:00Z",
    "extra": {"photographer": "mg", "stars": 4},
}

# A quoted phrase or a word, and a weight behind a colon.
_TERM = re.compile(r'(?P<minus>-)?(?:"(?P<phrase>[^"]*)"|(?P<word>[^\s":]+))(?::(?P<weight>[^\s]*))?(?=\s|$)')


def parse_query(text: str) -> list[tuple[str, float]]:
    """A query as people write it: ``beach:1 sunset:0.5 "red car" -people``.

    Returns:
        Words or phrases with their weights; 1 where none is written, -1 after a minus.

    Raises:
        ValueError: A part cannot be read; the message shows it.
    """
    parts: list[tuple[str, float]] = []
    place = 0
    while place < len(text):
        if text[place].isspace():
            place += 1
            continue
        term = _TERM.match(text, place)
        if term is None:
            raise ValueError(
                f'cannot read the query from {text[place : place + 40]!r}; write word:0.5 or "two words":-1'
            )
        words = term["phrase"] if term["phrase"] is not None else term["word"]
        weight = 1.0
        if term["weight"] is not None:
            try:
                weight = float(term["weight"])
            except ValueError:
                raise ValueError(
                    f"the weight of {words!r} is {term['weight']!r}, which is no number"
                ) from None
        parts.append((words, _checked_weight(words, -weight if term["minus"] else weight)))
        place = term.end()
    return parts


def _checked_weight(what: str, weight: float) -> float:
    if not 0 < abs(weight) <= MAX_WEIGHT:  # also refuses NaN
        raise ValueError(
            f"the weight of {what!r} is {weight:g}; it must be between -{MAX_WEIGHT:g} and {MAX_WEIGHT:g}, "
            "and not 0"
        )
    return weight


def _object_from_form(value: object) -> object:
    """An object in a form field is written as JSON."""
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("must be a JSON object") from None
    return value


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


class SearchOptions(Options):
    """What to search for, besides an image."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "index": "photos",
        "query": "beach:1 sunset:0.5 people:-0.6",
        "filter": {"near": {"latitude": 41.38, "longitude": 2.17, "radius_m": 50000}},
        "limit": 20,
    }

    index: str = Field(min_length=1, max_length=63, description="Name of the index.")
    query: str = Field(
        "",
        max_length=2000,
        description="Words and quoted phrases, each with a weight behind a colon if it is not 1: "
        '`beach sunset:0.5 "red car" people:-0.6`.',
    )
    image_weight: float = Field(1.0, ge=-MAX_WEIGHT, le=MAX_WEIGHT, description="How much the image counts.")
    like: Annotated[list[str], Field(max_length=MAX_PARTS), BeforeValidator(_object_from_form)] = Field(
        default_factory=list, description="Ids of entries of the index; each counts 1."
    )
    language: str = Field("", max_length=16, description="Read words as this language's first, e.g. `es`.")
    filter: Annotated[FilterBody | None, BeforeValidator(_object_from_form)] = None
    limit: int = Field(20, ge=1, le=200, description="How many hits.")
    page_token: str = Field("", max_length=400, description="Where to go on: `next_page_token` of an answer.")
    group_duplicates: bool = Field(False, description="Put near-duplicates under the best of them.")
    relevant_only: bool = Field(False, description="Leave out hits below the calibrated cut-off.")

    @model_validator(mode="after")
    def _check_query(self) -> SearchOptions:
        parse_query(self.query)
        if self.image_weight == 0:
            raise ValueError("image_weight is 0; it must not be")
        return self

    def to_request(self, content: bytes | None) -> pb.SearchRequest:
        """``SearchRequest`` of the contract.

        Raises:
            InvalidParameter: There is nothing to search for, or too many parts.
        """
        parts = [
            pb.QueryPart(text=pb.Text(content=words, language=self.language), weight=weight)
            for words, weight in parse_query(self.query)
        ]
        parts += [pb.QueryPart(entry=entry) for entry in self.like]
        if content is not None:
            parts.append(pb.QueryPart(image=common_pb2.Image(content=content), weight=self.image_weight))
        if not parts:
            raise InvalidParameter(
                "there is nothing to search for: no query, no image, no like", field="query"
            )
        if len(parts) > MAX_PARTS:
            raise InvalidParameter(
                f"the query has {len(parts)} parts; the limit is {MAX_PARTS}", field="query"
            )
        return pb.SearchRequest(
            index=self.index,
            query=parts,
            filter=self.filter.to_proto() if self.filter else None,
            limit=self.limit,
            page_token=self.page_token,
            group_duplicates=self.group_duplicates,
            relevant_only=self.relevant_only,
        )


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


class HitBody(EntryBody):
    """An entry that was found."""

    thumbnail: str | None = Field(description="Path of its thumbnail on this gateway; null if it has none.")
    score: float = Field(description="Cosine with the query, -1 to 1.")
    probability: float | None = Field(
        description="Chance that the image shows what was asked for, as calibrated on photos with captions; "
        "only for queries of words alone."
    )
    duplicates: list[str] = Field(description="Near-duplicates that were found too, where grouped.")


class ReadAsBody(BaseModel):
    """A word and those it was read as."""

    word: str
    stand_ins: list[str]


class UnderstoodBody(BaseModel):
    """How words were understood."""

    words: list[str] = Field(description="Words that counted.")
    read_as: list[ReadAsBody] = Field(description="Words that were read as others.")
    unknown: list[str] = Field(description="Words that were left out.")

    @classmethod
    def from_proto(cls, messages: Sequence[pb.Understood]) -> UnderstoodBody:
        """Of all parts of a query together."""
        return cls.model_construct(
            words=[word for message in messages for word in message.words],
            read_as=[
                ReadAsBody.model_construct(word=found.word, stand_ins=list(found.stand_ins))
                for message in messages
                for found in message.read_as
            ],
            unknown=[word for message in messages for word in message.unknown],
        )


class SearchAnswer(Exemplified):
    """What was found, best first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "hits": [
            {
                **EXAMPLE_ENTRY,
                "thumbnail": "/v1/indexes/photos/thumbnails/2019/07/img_0412.jpg",
                "score": 0.71,
                "probability": 0.93,
                "duplicates": [],
            }
        ],
        "next_page_token": "WzIwLCAiM2Y5YTFjIl0=",
        "understood": {"words": ["beach", "sunset", "people"], "read_as": [], "unknown": []},
        "candidates": 3120,
        "exact": True,
        "model": _EXAMPLE_MODEL,
        "timings": EXAMPLE_TIMINGS,
    }

    hits: list[HitBody]
    next_page_token: str = Field(description="For the next page; empty on the last one.")
    understood: UnderstoodBody
    candidates: int | None = Field(
        description="Entries that pass the filter; null where counting them took longer than the search."
    )
    exact: bool = Field(description="Whether all that pass were compared.")
    model: ModelBody
    timings: TimingsBody

    @classmethod
    def from_proto(cls, response: pb.SearchResponse, index: str, timings: TimingsBody) -> SearchAnswer:
        """From ``SearchResponse`` of the contract, to a search of an index."""
        return cls.model_construct(
            hits=[
                HitBody.model_construct(
                    **EntryBody.fields_of(hit.entry),
                    thumbnail=f"/v1/indexes/{index}/thumbnails/{quote(hit.entry.id)}"
                    if hit.entry.thumbnail
                    else None,
                    score=round(hit.score, 4),
                    probability=round(hit.probability, 4) if hit.HasField("probability") else None,
                    duplicates=list(hit.duplicates),
                )
                for hit in response.hits
            ],
            next_page_token=response.next_page_token,
            understood=UnderstoodBody.from_proto(response.understood),
            candidates=response.candidates if response.HasField("candidates") else None,
            exact=response.exact,
            model=ModelBody.from_proto(response.model),
            timings=timings,
        )


def timestamp_of(moment: datetime) -> Timestamp:
    """A time of the protos."""
    message = Timestamp()
    message.FromDatetime(moment)
    return message


def datetime_of(message: Timestamp) -> datetime:
    """A time of the protos as a UTC one."""
    return message.ToDatetime(tzinfo=UTC)
