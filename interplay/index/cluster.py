"""Indexes on a Qdrant server or cluster: a collection a generation, an alias an index.

Any number of processes share them. A swap is one call that moves the alias; what is added online while
it happens goes to the old generation or to the new one, and is carried over after the move as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qdrant_client import QdrantClient, models

from interplay.errors import Conflict
from interplay.index.catalogue import (
    IndexInfo,
    Spec,
    VectorIndex,
    carry_over,
    unknown_generation,
    unknown_index,
)
from interplay.index.plan import DEFAULT_PLAN, SearchPlan
from interplay.index.server import ServerIndex

_SEPARATOR = "--"


class ClusterCatalogue:
    """See ``Catalogue``.

    Args:
        client: Connected client; closed with the catalogue.
        prefix: Of the names of collections and aliases, so that others may use the same server.
        plan: How indexes are searched.
    """

    def __init__(
        self, client: QdrantClient, prefix: str = "interplay-", plan: SearchPlan = DEFAULT_PLAN
    ) -> None:
        self._client = client
        self._prefix = prefix
        self._plan = plan

    def all(self) -> list[IndexInfo]:
        """See ``Catalogue``."""
        return [self.info(name) for name in sorted(self._aliases())]

    def info(self, name: str) -> IndexInfo:
        """See ``Catalogue``."""
        collection = self._current(name)
        building = tuple(
            sorted(
                other.removeprefix(self._collection(name, ""))
                for other in self._collections()
                if other.startswith(self._collection(name, "")) and other != collection
            )
        )
        return IndexInfo(self._spec(collection), self._client.count(collection, exact=True).count, building)

    def spec(self, name: str) -> Spec:
        """See ``Catalogue``."""
        return self._spec(self._current(name))

    @contextmanager
    def reading(self, name: str) -> Iterator[VectorIndex]:
        """See ``Catalogue``."""
        collection = self._current(name)
        yield self._open(collection, self._spec(collection).dimension)

    @contextmanager
    def writing(self, name: str) -> Iterator[VectorIndex]:
        """See ``Catalogue``. Writes go through the alias: to whichever generation answers."""
        dimension = self._spec(self._current(name)).dimension
        yield self._open(self._prefix + name, dimension)

    @contextmanager
    def frozen(self, name: str) -> Iterator[tuple[Spec, VectorIndex]]:
        """See ``Catalogue``. Others write on: an entry is read as it was or as it is, never in part."""
        collection = self._current(name)
        spec = self._spec(collection)
        try:
            yield spec, self._open(collection, spec.dimension)
        except Exception as error:
            if self._aliases().get(name) != collection:
                raise Conflict(f"index {name!r} was rebuilt meanwhile; ask again") from error
            raise

    def begin(self, spec: Spec) -> None:
        """See ``Catalogue``."""
        collection = self._collection(spec.name, spec.generation)
        if self._aliases().get(spec.name) == collection:
            raise Conflict(f"generation {spec.generation} of index {spec.name} answers already")
        if self._client.collection_exists(collection):
            self._spec(collection).check_same(spec)
            return
        ServerIndex(self._client, collection, spec.dimension, self._plan, spec.as_dict())

    @contextmanager
    def building(self, name: str, generation: str) -> Iterator[VectorIndex]:
        """See ``Catalogue``."""
        collection = self._collection(name, generation)
        if self._aliases().get(name) == collection or not self._client.collection_exists(collection):
            raise unknown_generation(name, generation)
        yield self._open(collection, self._spec(collection).dimension)

    def unfinished(self) -> list[Spec]:
        """See ``Catalogue``."""
        published = set(self._aliases().values())
        return [
            self._spec(collection)
            for collection in self._collections()
            if collection.startswith(self._prefix) and collection not in published
        ]

    def publish(self, name: str, generation: str, *, carry: bool = True) -> IndexInfo:
        """See ``Catalogue``."""
        old, collection = self._aliases().get(name), self._collection(name, generation)
        if old == collection:
            return self.info(name)
        with self.building(name, generation) as new:
            spec = self._spec(collection)
            before = None if old is None else self._spec(old)
            same = before is not None and (before.dimension, before.space) == (spec.dimension, spec.space)
            carried = carry and same
            if old is not None and carried:
                carry_over(self._open(old, spec.dimension), new)
            alias = self._prefix + name
            moves: list[models.AliasOperations] = []
            if old is not None:
                moves.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
            moves.append(
                models.CreateAliasOperation(
                    create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
                )
            )
            self._client.update_collection_aliases(moves)
            if old is not None:
                if carried:
                    carry_over(self._open(old, spec.dimension), new, missing_only=True)
                self._client.delete_collection(old)
        return self.info(name)

    def abort(self, name: str, generation: str) -> None:
        """See ``Catalogue``."""
        collection = self._collection(name, generation)
        if self._aliases().get(name) != collection and self._client.collection_exists(collection):
            self._client.delete_collection(collection)

    def drop(self, name: str) -> None:
        """See ``Catalogue``."""
        self._current(name)
        for collection in self._collections():
            if collection.startswith(self._collection(name, "")):
                self._client.delete_collection(collection)

    def close(self) -> None:
        """See ``Catalogue``."""
        self._client.close()

    def _collection(self, name: str, generation: str) -> str:
        return f"{self._prefix}{name}{_SEPARATOR}{generation}"

    def _collections(self) -> list[str]:
        return [found.name for found in self._client.get_collections().collections]

    def _aliases(self) -> dict[str, str]:
        """Collection by index name."""
        return {
            found.alias_name.removeprefix(self._prefix): found.collection_name
            for found in self._client.get_aliases().aliases
            if found.alias_name.startswith(self._prefix)
        }

    def _current(self, name: str) -> str:
        aliases = self._aliases()
        if name not in aliases:
            raise unknown_index(name, sorted(aliases))
        return aliases[name]

    def _spec(self, collection: str) -> Spec:
        return Spec(**(self._client.get_collection(collection).config.metadata or {}))

    def _open(self, collection: str, dimension: int) -> ServerIndex:
        return ServerIndex(self._client, collection, dimension, self._plan)
