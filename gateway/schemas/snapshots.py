"""Bodies of ``/v1/indexes/{name}/snapshots`` and ``/v1/indexes/{name}/restore``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from pydantic import Field

from gateway.schemas.common import Exemplified
from gateway.schemas.entries import JsonBody, datetime_of
from interplay.rpc.common.v1 import index_pb2 as pb

EXAMPLE_ID = "20261125t101500z-8c2f6f6e"
_EXAMPLE = {
    "index": "photos",
    "snapshot": EXAMPLE_ID,
    "entries": 48211,
    "bytes": 73281536,
    "dimension": 300,
    "space": "sha256:" + "4" * 64,
    "created": "2026-11-25T10:15:00Z",
}


class SnapshotBody(Exemplified):
    """A snapshot that the server keeps."""

    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    index: str = Field(description="Index it was made of.")
    snapshot: str = Field(description="Its id.")
    entries: int
    bytes: int = Field(description="Of the file.")
    dimension: int = Field(description="Numbers in a vector.")
    space: str = Field(description="Digest of the model in whose space its vectors are.")
    created: datetime

    @classmethod
    def from_proto(cls, snapshot: pb.Snapshot) -> SnapshotBody:
        """From ``Snapshot`` of the contract."""
        return cls.model_construct(
            index=snapshot.index,
            snapshot=snapshot.id,
            entries=snapshot.entries,
            bytes=snapshot.bytes,
            dimension=snapshot.dimension,
            space=snapshot.space,
            created=datetime_of(snapshot.created),
        )


class SnapshotList(Exemplified):
    """Snapshots of an index, newest first."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"snapshots": [_EXAMPLE]}

    snapshots: list[SnapshotBody]


class RestoreBody(JsonBody, Exemplified):
    """A snapshot that the server keeps, to make an index of."""

    EXAMPLE: ClassVar[dict[str, Any]] = {"snapshot": EXAMPLE_ID}

    snapshot: str = Field(min_length=1, max_length=63, description="Its id.")
    of: str = Field("", max_length=63, description="Index it was made of, if that is another one.")
