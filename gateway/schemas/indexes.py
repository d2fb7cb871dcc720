"""Bodies of ``/v1/indexes`` and their entries, to and from the protos."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import BaseModel, Field, model_validator

from gateway.schemas.common import EXAMPLE_TIMINGS, Exemplified, ImageSource, TimingsBody
from gateway.schemas.entries import EXAMPLE_ENTRY, EntryBody, JsonBody, datetime_of
from interplay.rpc.common.v1 import index_pb2 as pb

MAX_ENTRIES = 64
MAX_IDS = 1000

_EXAMPLE_INDEX = {
    "name": "photos",
    "generation": "8c2f6f6e5e0c4d5f9a3b",
    "entries": 48211,
    "dimension": 300,
    "space": "sha256:" + "4" * 64,
    "created": "2026-11-25T10:15:00Z",
    "building": [],
}


class IndexBody(Exemplified):
    """An index."""

    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE_INDEX

    name: str
    generation: str = Field(description="Of the contents that answer; a rebuild makes another.")
    entries: int
    dimension: int = Field(description="Numbers in a vector.")
    space: str = Field(description="Digest of the model in whose space its vectors are.")
    created: datetime = Field(description="When the generation was begun.")
    building: list[str] = Field(description="Generations that are being built.")

    @classmethod
    def from_proto(cls, index: pb.Index) -> IndexBody:
        """From ``Index`` of the contract."""
        return cls.model_construct(
            name=index.name,
            generation=index.generation,
            entries=index.entries,
            dimension=index.dimension,
            space=index.space,
            created=datetime_of(index.created),
            building=list(index.building),
        )


class IndexList(Exemplified):
    """All indexes of a capability."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"indexes": [_EXAMPLE_INDEX], "languages": ["ca", "de", "es", "fr"]}

    indexes: list[IndexBody]
    languages: list[str] = Field(description="Languages of query words beside English; of `embedding` alone.")


class NewIndex(JsonBody):
    """An index to make."""

    name: str = Field(
        max_length=63,
        pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$",
        description="Lower-case letters and digits, parted by single hyphens or underscores.",
        examples=["photos"],
    )


class NewEntryBody(EntryBody):
    """An entry to add, with its image or its vector."""

    image: ImageSource | None = Field(None, description="The image, to be embedded.")
    vector: list[float] | None = Field(None, max_length=4096, description="Its vector, if you have it.")

    @model_validator(mode="after")
    def _one_content(self) -> NewEntryBody:
        if (self.image is None) == (self.vector is None):
            raise ValueError(f"the entry {self.id[:80]!r} needs exactly one of image and vector")
        return self


class UpsertBody(JsonBody, Exemplified):
    """Entries to add; an id that is there is replaced."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"entries": [{**EXAMPLE_ENTRY, "image": {"content": "/9j/4AAQ…"}}]}

    entries: list[NewEntryBody] = Field(min_length=1, max_length=MAX_ENTRIES)


class EntryError(BaseModel):
    """Why an entry was not added."""

    id: str
    reason: str
    message: str


class UpsertAnswer(Exemplified):
    """What became of the entries."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"added": 1, "errors": [], "timings": EXAMPLE_TIMINGS}

    added: int
    errors: list[EntryError] = Field(description="Entries that were not added; all others were.")
    timings: TimingsBody


class DeleteBody(JsonBody):
    """Entries to remove."""

    ids: list[Annotated[str, Field(min_length=1, max_length=512)]] = Field(min_length=1, max_length=MAX_IDS)


class DeleteAnswer(Exemplified):
    """How many entries there were."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"deleted": 1}

    deleted: int


def vector_message(values: Sequence[float]) -> pb.Vector:
    """``Vector`` of the contract."""
    return pb.Vector(values=np.asarray(values, dtype="<f4").tobytes())
