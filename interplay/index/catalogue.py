"""Named indexes and their generations: what is being built never disturbs what is being read.

A name points to one generation. A build fills another one beside it; `publish` optimises that one, carries
over what was added online, and swaps. A reader has the generation it began with until it is done.
A build that died goes on where it was: its generation is known by the name that the build gave it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from interplay.errors import Conflict, InvalidParameter, NotFound
from interplay.index.entries import Entry, Filter, Hits

NAME_PATTERN = re.compile(r"^(?=.{1,63}$)[a-z0-9]+([-_][a-z0-9]+)*$")
# How the names of generations begin that are made of snapshots.
RESTORED = "restore-"
_CARRIED_AT_ONCE = 256


class VectorIndex(Protocol):
    """One generation; see ``EdgeIndex`` for what the methods do."""

    dimension: int

    def upsert(self, entries: Sequence[Entry]) -> None: ...
    def delete(self, ids: Sequence[str]) -> int: ...
    def get(self, ids: Sequence[str]) -> list[Entry]: ...
    def search(
        self,
        vector: NDArray[np.float32],
        limit: int,
        *,
        offset: int = 0,
        wanted: Filter | None = None,
        exact: bool = False,
    ) -> Hits: ...
    def candidates(
        self, vector: NDArray[np.float32], limit: int, wanted: Filter | None = None
    ) -> tuple[list[str], NDArray[np.float32]]: ...
    def nearest(self, vector: NDArray[np.float32], limit: int, wanted: Filter | None = None) -> list[str]: ...
    def at(self, points: Sequence[str]) -> list[Entry]: ...
    def points(self, wanted: Filter | None = None, page: int = 16_384) -> Iterator[list[str]]: ...
    def vectors(
        self, page: int = 4096
    ) -> Iterator[tuple[list[str], NDArray[np.float32], NDArray[np.float64]]]: ...
    def scroll(self, wanted: Filter | None = None, page: int = 256) -> Iterator[Entry]: ...
    def count(self, wanted: Filter | None = None) -> int: ...
    def optimize(self) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Spec:
    """What a generation is made for; kept beside it.

    Attributes:
        name: Of the index.
        generation: Of this one.
        dimension: Of its vectors.
        space: Digest of the model whose space they are in; vectors of another mean nothing here.
        created: When, RFC 3339.
    """

    name: str
    generation: str
    dimension: int
    space: str
    created: str

    @classmethod
    def new(cls, name: str, generation: str, dimension: int, space: str) -> Spec:
        """A specification of now.

        Raises:
            InvalidParameter: A name is not letters, digits and single hyphens or underscores.
        """
        for field, value in (("name", name), ("generation", generation)):
            if not NAME_PATTERN.fullmatch(value):
                raise InvalidParameter(
                    f"{field} {value!r} must be lower-case letters and digits, parted by single hyphens or "
                    "underscores, and at most 63 characters long",
                    field=field,
                )
        return cls(name, generation, dimension, space, datetime.now(UTC).isoformat(timespec="milliseconds"))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)

    def check_same(self, other: Spec) -> None:
        """Whether a build may go on with what is there.

        Raises:
            Conflict: Dimension or space differ.
        """
        if (self.dimension, self.space) != (other.dimension, other.space):
            raise Conflict(
                f"generation {self.generation} of index {self.name} was begun with vectors of "
                f"{self.dimension} numbers of {self.space}, not {other.dimension} of {other.space}"
            )


@dataclass(frozen=True)
class IndexInfo:
    """An index as callers see it.

    Attributes:
        spec: Of the generation that answers.
        entries: How many it has.
        building: Generations that are being built.
    """

    spec: Spec
    entries: int
    building: tuple[str, ...]


class Catalogue(Protocol):
    """Named indexes, embedded or on a server. Safe to call from several threads."""

    def all(self) -> list[IndexInfo]:
        """All indexes that answer, by name."""

    def info(self, name: str) -> IndexInfo:
        """One of them.

        Raises:
            NotFound: No such index; the message lists those there are.
        """

    def spec(self, name: str) -> Spec:
        """What the generation that answers is made for.

        Raises:
            NotFound: No such index.
        """

    def reading(self, name: str) -> AbstractContextManager[VectorIndex]:
        """The generation that answers, for as long as the context lasts.

        Raises:
            NotFound: No such index.
        """

    def writing(self, name: str) -> AbstractContextManager[VectorIndex]:
        """The same for online changes; a swap waits for them, and they for it.

        Raises:
            NotFound: No such index.
        """

    def frozen(self, name: str) -> AbstractContextManager[tuple[Spec, VectorIndex]]:
        """The generation that answers, with online changes held off where this process alone makes them.

        Raises:
            NotFound: No such index.
            Conflict: It was swapped meanwhile, which only a server that others share lets happen.
        """

    def begin(self, spec: Spec) -> None:
        """Begin a generation, or go on with the one of the same name.

        Raises:
            Conflict: It was begun for other vectors, or it answers already.
        """

    def building(self, name: str, generation: str) -> AbstractContextManager[VectorIndex]:
        """A generation that was begun.

        Raises:
            NotFound: It was not, or is published.
        """

    def unfinished(self) -> list[Spec]:
        """Generations of any index that were begun and are not published."""

    def publish(self, name: str, generation: str, *, carry: bool = True) -> IndexInfo:
        """Optimise a generation, carry over what came online, and let it answer from now on.

        Publishing what is published already changes nothing, so a caller may repeat it.

        Args:
            name: Of the index.
            generation: That was begun.
            carry: Whether what came online is carried over.

        Raises:
            NotFound: No such generation.
        """

    def abort(self, name: str, generation: str) -> None:
        """Remove a generation that was begun; none of that name is fine."""

    def drop(self, name: str) -> None:
        """Remove an index with all its generations.

        Raises:
            NotFound: No such index.
        """

    def close(self) -> None:
        """Let go of everything."""


def carry_over(old: VectorIndex, new: VectorIndex, *, missing_only: bool = False) -> int:
    """Copy what came online from one generation to the next; returns how many entries that were.

    Args:
        old: The generation that answers, or did.
        new: The next one.
        missing_only: Leave alone what the next one has: it answers already, and may have newer.
    """
    carried = 0
    batch: list[Entry] = []

    def flush() -> int:
        there = {entry.id for entry in new.get([entry.id for entry in batch])} if missing_only else set()
        kept = [entry for entry in batch if entry.id not in there]
        if kept:
            new.upsert(kept)
        return len(kept)

    for entry in old.scroll(Filter(origin="online")):
        batch.append(entry)
        if len(batch) == _CARRIED_AT_ONCE:
            carried, batch = carried + flush(), []
    return carried + (flush() if batch else 0)


def unknown_index(name: str, known: Sequence[str]) -> NotFound:
    """The error for a name that is no index."""
    return NotFound(f"no index {name!r}; there are: {', '.join(known) or 'none'}")


def unknown_generation(name: str, generation: str) -> NotFound:
    """The error for a generation that is not being built."""
    return NotFound(f"no generation {generation!r} of index {name!r} is being built")
