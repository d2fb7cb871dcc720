"""Bodies of ``/v1/locations…``: images, tags and places, to and from the protos."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, Field, ValidationInfo, field_validator

from gateway.schemas.common import (
    EXAMPLE_TIMINGS,
    Exemplified,
    ImageSource,
    ModelBody,
    Options,
    TimingsBody,
)
from gateway.schemas.entries import EXAMPLE_ENTRY, EntryBody, FilterBody, JsonBody, thumbnail_path
from gateway.schemas.places import EXAMPLE_PLACE, PlaceBody, PlaceOrText
from interplay.errors import InvalidParameter
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.locsens.v1 import locsens_pb2 as pb

MAX_TAGS = 8
MAX_RADIUS_M = 20_037_508
MAX_IMAGES = 16
MAX_TRIPLETS = 1000

Tag = Annotated[str, Field(min_length=1, max_length=100)]
Mode = Annotated[
    Literal["fast", "exact"],
    Field(
        description="fast: candidates are looked up and scored (of a small index all); exact: everything is."
    ),
]
_MODES = {"fast": pb.MODE_FAST, "exact": pb.MODE_EXACT}
_TASKS = {"tagging": pb.TASK_TAGGING, "retrieval": pb.TASK_RETRIEVAL}
_SOURCES: dict[int, Literal["request", "photo"]] = {
    pb.PLACE_SOURCE_REQUEST: "request",
    pb.PLACE_SOURCE_PHOTO: "photo",
}


def _example_model(name: str) -> dict[str, str]:
    return {"name": name, "version": "1", "digest": "sha256:" + "5" * 64}


class TagOptions(Options):
    """Options of ``locations:tag``."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"at": EXAMPLE_PLACE, "limit": 10}

    at: PlaceOrText | None = Field(
        None,
        description="Where the photo was taken: an object, or as text `41.38,2.17`. Without it, and without "
        "`photo_place`, the image alone decides.",
    )
    photo_place: bool = Field(
        False,
        description="Take the place that the photo says itself (EXIF) if `at` is not set; that it says none "
        "is an error.",
    )
    limit: int = Field(10, ge=1, le=100, description="How many tags.")
    mode: Mode = "fast"

    def to_request(self, content: bytes) -> pb.TagRequest:
        """``TagRequest`` of the contract."""
        return pb.TagRequest(
            image=common_pb2.Image(content=content),
            place=self.at.to_proto() if self.at else None,
            photo_place=self.photo_place,
            limit=self.limit,
            mode=_MODES[self.mode],
        )


class TagBody(BaseModel):
    """A tag and how well it fits."""

    tag: str
    score: float = Field(
        description="Higher is better. With a place without bounds; without one a chance, 0 to 1."
    )


class PlacedTagBody(TagBody):
    """A tag of an image at a place."""

    rank_without_place: int | None = Field(
        description="Its rank for the image alone, 1 for the best; null where there is no place."
    )


class TagAnswer(Exemplified):
    """Tags of an image, best first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "tags": [
            {"tag": "barcelona", "score": 4.182, "rank_without_place": 31},
            {"tag": "beach", "score": 3.907, "rank_without_place": 1},
        ],
        "without_place": [{"tag": "beach", "score": 0.412}, {"tag": "sea", "score": 0.287}],
        "place": EXAMPLE_PLACE,
        "place_source": "request",
        "scored": 1204,
        "model": _example_model("locsens-tagging"),
        "timings": EXAMPLE_TIMINGS,
    }

    tags: list[PlacedTagBody] = Field(description="With the place where there is one.")
    without_place: list[TagBody] = Field(
        description="Of the image alone, to compare; empty where there is no place."
    )
    place: PlaceBody | None
    place_source: Literal["request", "photo"] | None = Field(description="Where the place is from.")
    scored: int = Field(description="How many tags were scored at the place.")
    model: ModelBody = Field(description="Which ranked.")
    timings: TimingsBody

    @classmethod
    def from_proto(cls, response: pb.TagResponse, timings: TimingsBody) -> TagAnswer:
        """From the server's response."""
        return cls.model_construct(
            tags=[
                PlacedTagBody.model_construct(
                    tag=found.tag,
                    score=round(found.score, 4),
                    rank_without_place=found.rank_without_place
                    if found.HasField("rank_without_place")
                    else None,
                )
                for found in response.tags
            ],
            without_place=[
                TagBody.model_construct(tag=found.tag, score=round(found.score, 4))
                for found in response.without_place
            ],
            place=PlaceBody.from_proto(response.place) if response.HasField("place") else None,
            place_source=_SOURCES.get(response.source),
            scored=response.scored,
            model=ModelBody.from_proto(response.model),
            timings=timings,
        )


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class LocationSearchBody(JsonBody, Exemplified):
    """Which images to look for."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "index": "photos",
        "tags": ["bridge"],
        "place": EXAMPLE_PLACE,
        "radius_m": 50000,
        "limit": 20,
    }

    index: str = Field(min_length=1, max_length=63, description="Name of the index.")
    tags: Annotated[
        list[Tag],
        Field(min_length=1, max_length=MAX_TAGS),
        BeforeValidator(_listed, json_schema_input_type=list[Tag] | Tag),
    ] = Field(description="A tag of the vocabulary, or up to 8; an image's score is the mean of its scores.")
    place: PlaceOrText | None = Field(None, description="Where; without it the tags alone decide.")
    radius_m: float | None = Field(
        None,
        gt=0,
        le=MAX_RADIUS_M,
        description="Only images taken so near to `place`, in metres; anywhere if unset.",
    )
    filter: FilterBody | None = Field(None, description="Which entries count.")
    limit: int = Field(20, ge=1, le=200, description="How many hits.")
    mode: Mode = "fast"
    group_duplicates: bool = Field(False, description="Put near-duplicates under the best of them.")

    @field_validator("radius_m")
    @classmethod
    def _needs_place(cls, radius_m: float | None, info: ValidationInfo) -> float | None:
        if radius_m is not None and "place" in info.data and info.data["place"] is None:
            raise ValueError("needs a place to be around")
        return radius_m

    @field_validator("filter")
    @classmethod
    def _one_circle(cls, filter: FilterBody | None, info: ValidationInfo) -> FilterBody | None:
        if filter and filter.near and info.data.get("radius_m") is not None:
            raise ValueError("near and radius_m are both set; give one circle")
        return filter

    def to_request(self) -> pb.RetrieveRequest:
        """``RetrieveRequest`` of the contract."""
        return pb.RetrieveRequest(
            index=self.index,
            tags=self.tags,
            place=self.place.to_proto() if self.place else None,
            radius_m=self.radius_m,
            filter=self.filter.to_proto() if self.filter else None,
            limit=self.limit,
            mode=_MODES[self.mode],
            group_duplicates=self.group_duplicates,
        )


class LocatedHitBody(EntryBody):
    """An image that was found."""

    thumbnail: str | None = Field(description="Path of its thumbnail on this gateway; null if it has none.")
    score: float = Field(
        description="Higher is better. With a place without bounds; without one a cosine, -1 to 1."
    )
    distance_m: float | None = Field(
        description="From the place, along the ground, in metres; null where either has none."
    )
    duplicates: list[str] = Field(description="Near-duplicates that were found too, where grouped.")


class LocationSearchAnswer(Exemplified):
    """What was found, best first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "hits": [
            {
                **EXAMPLE_ENTRY,
                "thumbnail": "/v1/indexes/photos/thumbnails/2019/07/img_0412.jpg?capability=locsens",
                "score": 3.412,
                "distance_m": 1874.0,
                "duplicates": [],
            }
        ],
        "scored": 1500,
        "exact": False,
        "model": _example_model("locsens-retrieval"),
        "timings": EXAMPLE_TIMINGS,
    }

    hits: list[LocatedHitBody]
    scored: int = Field(description="How many images were scored.")
    exact: bool = Field(description="Whether all that pass the filter were.")
    model: ModelBody = Field(description="Which ranked.")
    timings: TimingsBody

    @classmethod
    def from_proto(
        cls, response: pb.RetrieveResponse, index: str, timings: TimingsBody
    ) -> LocationSearchAnswer:
        """From the server's response, to a search of an index."""
        return cls.model_construct(
            hits=[
                LocatedHitBody.model_construct(
                    **EntryBody.fields_of(hit.entry),
                    thumbnail=thumbnail_path("locsens", index, hit.entry),
                    score=round(hit.score, 4),
                    distance_m=round(hit.distance_m, 1) if hit.HasField("distance_m") else None,
                    duplicates=list(hit.duplicates),
                )
                for hit in response.hits
            ],
            scored=response.scored,
            exact=response.exact,
            model=ModelBody.from_proto(response.model),
            timings=timings,
        )


class TripletBody(JsonBody):
    """An image, a tag and a place."""

    image: int = Field(ge=0, description="Number of the image in `images`, from 0.")
    tag: Tag
    place: PlaceOrText


class ScoreBody(JsonBody, Exemplified):
    """What is to be scored."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "images": [{"content": "/9j/4AAQ…"}],
        "triplets": [
            {"image": 0, "tag": "beach", "place": EXAMPLE_PLACE},
            {"image": 0, "tag": "beach", "place": {"latitude": 46.5, "longitude": 8.0}},
        ],
        "task": "tagging",
    }

    images: list[ImageSource] = Field(min_length=1, max_length=MAX_IMAGES)
    triplets: list[TripletBody] = Field(min_length=1, max_length=MAX_TRIPLETS)
    task: Literal["tagging", "retrieval"] = Field(
        "tagging", description="Whose scores: those that rank tags of an image, or images for a tag."
    )

    def to_request(self, contents: list[bytes]) -> pb.ScoreRequest:
        """``ScoreRequest`` of the contract, with the images' files.

        Raises:
            InvalidParameter: A triplet's image is not there.
        """
        for number, triplet in enumerate(self.triplets):
            if triplet.image >= len(contents):
                field = f"triplets[{number}].image"
                raise InvalidParameter(
                    f"{field} is {triplet.image}; there are {len(contents)} images, from 0", field=field
                )
        return pb.ScoreRequest(
            images=[common_pb2.Image(content=content) for content in contents],
            triplets=[
                pb.Triplet(image=triplet.image, tag=triplet.tag, place=triplet.place.to_proto())
                for triplet in self.triplets
            ],
            task=_TASKS[self.task],
        )


class ScoreAnswer(Exemplified):
    """How well each triplet goes together."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "scores": [3.91, -1.28],
        "model": _example_model("locsens-tagging"),
        "timings": EXAMPLE_TIMINGS,
    }

    scores: list[float] = Field(
        description="One a triplet, in order; higher is better, without bounds. Scores of one task compare."
    )
    model: ModelBody = Field(description="The scorer.")
    timings: TimingsBody

    @classmethod
    def from_proto(cls, response: pb.ScoreResponse, timings: TimingsBody) -> ScoreAnswer:
        """From the server's response."""
        return cls.model_construct(
            scores=[round(score, 4) for score in response.scores],
            model=ModelBody.from_proto(response.model),
            timings=timings,
        )


class KnownTagBody(BaseModel):
    """A tag of the vocabulary."""

    tag: str
    photos: int = Field(description="Photos of the training set that have it.")


class KnownTags(Exemplified):
    """Tags that the models know, the most frequent first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {
        "tags": [{"tag": "beach", "photos": 18250}, {"tag": "beachhouse", "photos": 96}],
        "total": 2,
    }

    tags: list[KnownTagBody]
    total: int = Field(description="How many there are of that prefix.")

    @classmethod
    def from_proto(cls, response: pb.ListTagsResponse) -> KnownTags:
        """From the server's response."""
        return cls.model_construct(
            tags=[
                KnownTagBody.model_construct(tag=known.tag, photos=known.photos) for known in response.tags
            ],
            total=response.total,
        )
