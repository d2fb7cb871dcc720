"""The engines that ``benchmarks.index`` compares, each set to find at least 98 % on seed 0 where it can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.index_world import EARTH_M, Circle, K, World
from interplay.index import entries
from interplay.index.edge import EdgeIndex
from interplay.index.entries import Entry, Filter, Place
from interplay.index.plan import DEFAULT_PLAN

_BATCH = 512


class Engine(Protocol):
    """An index to measure.

    Attributes:
        module: What must be installed; empty if nothing.
        settings: Names the folder in which it is kept.
    """

    module: str
    settings: str

    def build(self, world: World, folder: Path) -> int:
        """Build it; returns its bytes, on disk or in memory."""

    def open(self, world: World, folder: Path) -> int:
        """Open what ``build`` left in a folder; returns its bytes.

        Raises:
            FileNotFoundError: It keeps nothing there.
        """

    def search(self, query: NDArray[np.float32], circle: Circle | None) -> list[int]:
        """The K nearest, of those within a circle if there is one."""

    def close(self) -> None:
        """Let go of memory and files."""


class Interplay:
    """The embedded index as the server uses it."""

    module = ""
    settings = f"m{DEFAULT_PLAN.m}-ef{DEFAULT_PLAN.ef_construct}"

    def build(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        self._index = EdgeIndex(folder, world.vectors.shape[1])
        for start in range(0, len(world.vectors), _BATCH):
            self._index.upsert(
                [
                    Entry(str(i), world.vectors[i], place=Place(*world.places[i].tolist()))
                    for i in range(start, min(start + _BATCH, len(world.vectors)))
                ]
            )
        self._index.optimize()
        self._index.flush()
        return _size(folder)

    def open(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        if not folder.is_dir():
            raise FileNotFoundError(folder)
        self._index = EdgeIndex(folder, world.vectors.shape[1])
        return _size(folder)

    def search(self, query: NDArray[np.float32], circle: Circle | None) -> list[int]:
        """See ``Engine``."""
        wanted = None
        if circle is not None:
            wanted = Filter(circle=entries.Circle(Place(*circle[0].tolist()), circle[1]))
        return [int(hit.entry.id) for hit in self._index.search(query, K, wanted=wanted).hits]

    def close(self) -> None:
        """See ``Engine``."""
        self._index.close()


class Faiss:
    """FAISS, flat or HNSW; a circle becomes a set of ids, found with numpy, which counts as search time."""

    module = "faiss"
    m, ef_construct, ef = 16, 512, 768

    def __init__(self, kind: str) -> None:
        self.settings = kind
        self._flat = kind == "flat"

    def build(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        import faiss

        dimension = world.vectors.shape[1]
        if self._flat:
            self._index = faiss.IndexFlatIP(dimension)
        else:
            self._index = faiss.IndexHNSWFlat(dimension, self.m, faiss.METRIC_INNER_PRODUCT)
            self._index.hnsw.efConstruction = self.ef_construct
        self._index.add(world.vectors)
        folder.mkdir(parents=True)
        faiss.write_index(self._index, str(folder / "index.faiss"))
        return self._opened(world, folder)

    def open(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        import faiss

        if not (folder / "index.faiss").is_file():
            raise FileNotFoundError(folder)
        self._index = faiss.read_index(str(folder / "index.faiss"))
        return self._opened(world, folder)

    def _opened(self, world: World, folder: Path) -> int:
        if not self._flat:
            self._index.hnsw.efSearch = self.ef
        self._world = world
        return _size(folder)

    def search(self, query: NDArray[np.float32], circle: Circle | None) -> list[int]:
        """See ``Engine``."""
        import faiss

        params = None
        if circle is not None:
            bits = np.packbits(self._world.inside(circle), bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            if self._flat:
                params = faiss.SearchParameters(sel=selector)
            else:
                params = faiss.SearchParametersHNSW(sel=selector, efSearch=self.ef)
        found = self._index.search(query[None], K, params=params)[1][0]
        return [int(i) for i in found if i >= 0]

    def close(self) -> None:
        """See ``Engine``."""
        del self._index, self._world


class Lance:
    """LanceDB, IVF-HNSW with scalar quantisation; a circle becomes a box and is cut to size afterwards."""

    module = "lancedb"
    settings = "ivf-hnsw-sq"
    partitions, ef, refine = 20, 400, 10

    def build(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        import lancedb
        import pyarrow as pa

        flat = pa.array(world.vectors.ravel())
        table = pa.table(
            {
                "id": np.arange(len(world.vectors)),
                "lat": world.places[:, 0],
                "lon": world.places[:, 1],
                "vector": pa.FixedSizeListArray.from_arrays(flat, world.vectors.shape[1]),
            }
        )
        self._table = lancedb.connect(str(folder)).create_table("bench", table)
        self._table.create_index(metric="dot", index_type="IVF_HNSW_SQ", vector_column_name="vector")
        self._table.create_scalar_index("lat")
        self._table.create_scalar_index("lon")
        self._world = world
        return _size(folder)

    def open(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        import lancedb

        if not folder.is_dir():
            raise FileNotFoundError(folder)
        self._table = lancedb.connect(str(folder)).open_table("bench")
        self._world = world
        return _size(folder)

    def search(self, query: NDArray[np.float32], circle: Circle | None) -> list[int]:
        """See ``Engine``."""
        search = self._table.search(query).metric("dot").nprobes(self.partitions).ef(self.ef)
        search = search.select(["id", "_distance"])
        if circle is None:
            return [row["id"] for row in search.refine_factor(self.refine).limit(K).to_list()]
        (latitude, longitude), radius = circle
        height = np.degrees(radius / EARTH_M)
        width = min(180.0, height / max(np.cos(np.radians(min(89.9, abs(latitude) + height))), 1e-6))
        box = (
            f"lat >= {latitude - height} AND lat <= {latitude + height} "
            f"AND lon >= {longitude - width} AND lon <= {longitude + width}"
        )
        # A box of much of the earth is larger than its circle: ten times as many are asked for.
        rows = search.where(box, prefilter=True).refine_factor(4).limit(10 * K).to_list()
        inside = self._world.inside(circle)
        return [row["id"] for row in rows if inside[row["id"]]][:K]

    def close(self) -> None:
        """See ``Engine``."""
        del self._table, self._world


ENGINES: dict[str, Callable[[], Engine]] = {
    "interplay": Interplay,
    "FAISS flat": lambda: Faiss("flat"),
    "FAISS HNSW": lambda: Faiss("hnsw"),
    "LanceDB": Lance,
}


def _size(folder: Path) -> int:
    """Bytes on disk; of a sparse file, those that it takes."""
    return sum(512 * file.stat().st_blocks for file in folder.rglob("*") if file.is_file())
