"""The indexes of the server: where they are, and what is asked of them off the event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from interplay.errors import Conflict, InvalidParameter
from interplay.index.catalogue import Catalogue, IndexInfo, Spec, VectorIndex
from interplay.index.cluster import ClusterCatalogue
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.entries import Entry, Filter, Hits
from interplay.serving.indexes.model import IndexedModel
from interplay.serving.indexes.settings import IndexSettings
from interplay.settings import available_cores
from interplay.telemetry import metrics
from interplay.telemetry.logging import get_logger

T = TypeVar("T")

log = get_logger(__name__)


def open_indexes(settings: IndexSettings, model: IndexedModel, part: str = "") -> Indexes:
    """Open the indexes that the settings name.

    Args:
        settings: Of the server.
        model: Whose vectors are in them.
        part: Keeps the indexes of this capability apart from others with the same ``state_dir`` or on the
            same Qdrant server: they are in ``state_dir/part/indexes``. Empty for those of ``embedding``.

    Raises:
        Unavailable: Another process has the embedded ones open.
    """
    if settings.qdrant_url is None:
        return Indexes(EmbeddedCatalogue(settings.state_dir / part / "indexes"), model)
    from qdrant_client import QdrantClient

    client = QdrantClient(url=settings.qdrant_url, api_key=settings.qdrant_api_key)
    return Indexes(ClusterCatalogue(client, collection_prefix(part)), model)


def collection_prefix(part: str) -> str:
    """How names of a capability's collections begin. None is how another one's begin, too."""
    return f"interplay_{part}-" if part else "interplay-"


class Indexes:
    """The catalogue as the servicer uses it: vectors are of this server's space, threads are apart.

    Args:
        catalogue: The indexes; closed with this.
        model: Knows the space.
    """

    def __init__(self, catalogue: Catalogue, model: IndexedModel) -> None:
        self.catalogue = catalogue
        self.model = model
        self._changes: Counter[str] = Counter()
        # Searches are short; a build's publishing is not, and must not keep them waiting.
        self._searching = ThreadPoolExecutor(available_cores(), thread_name_prefix="search")
        self._changing = ThreadPoolExecutor(4, thread_name_prefix="index")
        self._measuring = threading.Lock()
        self._changing.submit(self._measure_all)

    def close(self) -> None:
        """Finish what is being done to the indexes and let go of them."""
        self._searching.shutdown(wait=True)
        self._changing.shutdown(wait=True)
        self.catalogue.close()

    async def read(self, function: Callable[[], T]) -> T:
        """Run something short that reads."""
        return await asyncio.get_running_loop().run_in_executor(self._searching, function)

    async def change(self, function: Callable[[], T]) -> T:
        """Run something that writes."""
        return await asyncio.get_running_loop().run_in_executor(self._changing, function)

    def spec(self, name: str, generation: str) -> Spec:
        """Of a new generation with vectors of this server.

        Raises:
            InvalidParameter: A name is none.
        """
        return Spec.new(name, generation, self.model.dimension, self.model.space)

    def create(self, name: str) -> IndexInfo:
        """An empty index.

        Raises:
            Conflict: There is one of that name.
        """
        if any(info.spec.name == name for info in self.catalogue.all()):
            raise Conflict(f"there is an index {name!r} already")
        spec = self.spec(name, "empty")
        self.catalogue.begin(spec)
        return self.publish(name, spec.generation)

    def publish(self, name: str, generation: str) -> IndexInfo:
        """Let a generation answer from now on."""
        started = time.perf_counter()
        info = self.catalogue.publish(name, generation)
        metrics.INDEX_PUBLISH.observe(time.perf_counter() - started)
        self.measured(info)
        return info

    def drop(self, name: str) -> None:
        """Remove an index."""
        self.catalogue.drop(name)
        with self._measuring:
            metrics.INDEX_ENTRIES.remove_by_labels({"index": name})

    def measured(self, info: IndexInfo) -> None:
        """Set the gauge of an index."""
        metrics.INDEX_ENTRIES.labels(info.spec.name).set(info.entries)

    def _measure_all(self) -> None:
        try:
            with self._measuring:
                for info in self.catalogue.all():
                    self.measured(info)
        except Exception:  # a Qdrant server that is not up yet must not keep this one from starting
            log.warning("indexes_not_measured", exc_info=True)

    def begin(self, name: str, generation: str) -> int:
        """Begin a generation, or go on with it; how many entries it has."""
        self.catalogue.begin(self.spec(name, generation))
        with self.catalogue.building(name, generation) as index:
            return index.count()

    def get(self, name: str, ids: Sequence[str]) -> list[Entry]:
        """Entries by id."""
        with self.catalogue.reading(name) as index:
            return index.get(ids)

    def delete(self, name: str, ids: Sequence[str]) -> int:
        """Remove entries; how many there were."""
        with self.catalogue.writing(name) as index:
            deleted = index.delete(ids)
            self._changed(name, index)
            return deleted

    def search(
        self,
        name: str,
        query: NDArray[np.float32],
        limit: int,
        offset: int,
        wanted: Filter,
        *,
        exact: bool = False,
    ) -> Hits:
        """Entries nearest to a vector; of all, compared one by one, if ``exact``."""
        started = time.perf_counter()
        with self.searchable(name) as index:
            hits = index.search(query, limit, offset=offset, wanted=wanted, exact=exact)
        observe_search(started, exact=hits.exact)
        return hits

    def changes(self, name: str) -> int:
        """How often this process has changed what an index answers with, apart from publishing."""
        return self._changes[name]

    def entry_vector(self, name: str, entry: str, field: str) -> NDArray[np.float32]:
        """The vector of an entry that a query names.

        Raises:
            InvalidParameter: There is none.
        """
        with self.searchable(name) as index:
            found = index.get([entry])
        if not found:
            raise InvalidParameter(f"index {name!r} has no entry {entry!r}", field=f"{field}.entry")
        return found[0].vector

    def check_target(self, name: str, generation: str) -> None:
        """Whether an index, or a generation of it, can be written to, before any image is embedded."""
        if generation:
            with self.catalogue.building(name, generation):
                return
        self._check_space(self.catalogue.spec(name))

    def write(self, name: str, generation: str, entries: Sequence[Entry]) -> None:
        """Add entries to an index, or to a generation of it that is being built."""
        if generation:
            with self.catalogue.building(name, generation) as index:
                index.upsert(entries)
            return
        self._check_space(self.catalogue.spec(name))
        with self.catalogue.writing(name) as index:
            index.upsert(entries)
            self._changed(name, index)

    def _changed(self, name: str, index: VectorIndex) -> None:
        self._changes[name] += 1
        metrics.INDEX_ENTRIES.labels(name).set(index.count())

    @contextmanager
    def searchable(self, name: str) -> Iterator[VectorIndex]:
        """An index whose vectors are of this server's space.

        Raises:
            Conflict: They are of another model.
        """
        self._check_space(self.catalogue.spec(name))
        with self.catalogue.reading(name) as index:
            yield index

    def _check_space(self, spec: Spec) -> None:
        if (spec.dimension, spec.space) != (self.model.dimension, self.model.space):
            raise Conflict(
                f"index {spec.name!r} was built with the {self.model.space_name} {spec.space}, and this "
                f"server has {self.model.space}; build it again"
            )


def observe_search(started: float, *, exact: bool) -> None:
    """Count a search that began at ``started`` (``time.perf_counter``) and is done."""
    metrics.INDEX_SEARCH.labels("exact" if exact else "graph").observe(time.perf_counter() - started)
