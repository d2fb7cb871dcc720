"""Bodies of ``/v1/search``, to and from the protos."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from gateway.schemas.common import EXAMPLE_TIMINGS, Exemplified, ModelBody, Options, TimingsBody
from gateway.schemas.entries import EXAMPLE_ENTRY, EntryBody, FilterBody, thumbnail_path
from interplay.errors import InvalidParameter
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb

MAX_PARTS = 32
MAX_WEIGHT = 10.0

_EXAMPLE_MODEL = {"name": "embedding-words", "version": "1", "digest": "sha256:" + "4" * 64}

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
                    thumbnail=thumbnail_path("embedding", index, hit.entry),
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
