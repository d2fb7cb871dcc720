"""The embedded index beside FAISS and LanceDB: build time, size, search time and recall, with geo filters.

    python -m benchmarks.index                                    (200,000 vectors)
    python -m benchmarks.index --sizes 10000 30000 100000 300000 1000000 --engines interplay

Vectors are like those of photos: sums of some words of the shipped table, with noise, at places drawn from
100,000 real photo coordinates. Queries are sums of one to three words. Recall is against the exact answer
(numpy). FAISS and LanceDB are no part of the project: `pip install faiss-cpu lancedb`; engines that are not
installed are left out. One thread asks at a time; the libraries use the cores as they like.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import print_table, write
from interplay.index.edge import EdgeIndex
from interplay.index.entries import Circle, Entry, Filter, Place
from interplay.predictors.embedding.text import TextEmbedder
from interplay.settings import REPOSITORY_ROOT
from interplay.store import resolve
from training.text_detection.paths import data_dir

K = 10
_BATCH = 512
_EARTH_M = 6_371_008.8


@dataclass(frozen=True)
class World:
    """What is indexed and what is asked.

    Attributes:
        vectors: (N, D) float32 of length one.
        places: (N, 2) float64, latitude and longitude in degrees.
        queries: (Q, D) float32 of length one.
    """

    vectors: NDArray[np.float32]
    places: NDArray[np.float64]
    queries: NDArray[np.float32]

    def distances(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) metres from a place, along a sphere."""
        latitude, longitude = np.radians(self.places).T
        south, west = np.radians(centre)
        a = np.sin((latitude - south) / 2) ** 2
        a += np.cos(latitude) * np.cos(south) * np.sin((longitude - west) / 2) ** 2
        return np.asarray(2 * _EARTH_M * np.arcsin(np.sqrt(np.minimum(a, 1))))

    def exact(self, query: NDArray[np.float32], inside: NDArray[np.bool_] | None) -> set[int]:
        """The K nearest, by comparing all."""
        scores = self.vectors @ query
        if inside is not None:
            scores = np.where(inside, scores, -2)
        best = np.argpartition(-scores, K)[:K]
        return {int(i) for i in best if scores[i] > -2}


def make_world(size: int, queries: int, seed: int = 0) -> World:
    """Vectors and queries from the shipped words."""
    table = TextEmbedder.load(resolve(REPOSITORY_ROOT / "model_store", "embedding-words")).table
    words = table.vectors / np.linalg.norm(table.vectors, axis=1, keepdims=True)
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(2, len(words) + 2)  # frequent words come first in the table
    chance /= chance.sum()

    def sums(count: int, most: int, noise: float) -> NDArray[np.float32]:
        total = np.zeros((count, words.shape[1]), np.float32)
        for number in range(most):
            rows = rng.choice(len(words), count, p=chance)
            total += words[rows] * (rng.random((count, 1)) < 1 / (1 + number * 0.3)).astype(np.float32)
        total += noise * rng.normal(size=total.shape).astype(np.float32) / np.sqrt(words.shape[1])
        return total / np.linalg.norm(total, axis=1, keepdims=True)

    with (data_dir() / "geo" / "coordinates_100K.csv").open() as stream:
        known = np.array([(float(row["LAT"]), float(row["LON"])) for row in csv.DictReader(stream)])
    places = known[rng.integers(0, len(known), size)] + rng.normal(0, 0.05, (size, 2))
    places = np.clip(places, (-90, -180), (90, 180))
    return World(sums(size, 6, 1.0), places, sums(queries, 3, 0.3))


class Engine(Protocol):
    """An index to measure."""

    def build(self, world: World, folder: Path) -> int:
        """Build it; returns its bytes, on disk or in memory."""

    def search(
        self, query: NDArray[np.float32], circle: tuple[NDArray[np.float64], float] | None
    ) -> list[int]:
        """The K nearest, of those within a circle (centre, metres) if there is one."""


class Interplay:
    """The embedded index as the server uses it."""

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
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    def search(
        self, query: NDArray[np.float32], circle: tuple[NDArray[np.float64], float] | None
    ) -> list[int]:
        """See ``Engine``."""
        wanted = None
        if circle is not None:
            wanted = Filter(circle=Circle(Place(*circle[0].tolist()), circle[1]))
        return [int(hit.entry.id) for hit in self._index.search(query, K, wanted=wanted).hits]


class Faiss:
    """FAISS, flat or HNSW; a circle becomes a list of ids that is given along."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def build(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        import faiss

        dimension = world.vectors.shape[1]
        if self._kind == "flat":
            self._index = faiss.IndexFlatIP(dimension)
        else:
            self._index = faiss.IndexHNSWFlat(dimension, 16, faiss.METRIC_INNER_PRODUCT)
            self._index.hnsw.efConstruction = 128
            self._index.hnsw.efSearch = 128
        self._index.add(world.vectors)
        self._world, self._faiss = world, faiss
        return len(faiss.serialize_index(self._index))

    def search(
        self, query: NDArray[np.float32], circle: tuple[NDArray[np.float64], float] | None
    ) -> list[int]:
        """See ``Engine``."""
        params = None
        if circle is not None:
            ids = np.flatnonzero(self._world.distances(circle[0]) <= circle[1])
            selector = self._faiss.IDSelectorBatch(ids)
            if self._kind == "flat":
                params = self._faiss.SearchParameters(sel=selector)
            else:
                params = self._faiss.SearchParametersHNSW(sel=selector, efSearch=128)
        found = self._index.search(query[None], K, params=params)[1][0]
        return [int(i) for i in found if i >= 0]


class Lance:
    """LanceDB, IVF-HNSW with scalar quantisation; a circle becomes a box and is cut to size afterwards."""

    def build(self, world: World, folder: Path) -> int:
        """See ``Engine``."""
        import lancedb
        import pyarrow as pa

        dimension = world.vectors.shape[1]
        flat = pa.array(world.vectors.ravel())
        table = pa.table(
            {
                "id": np.arange(len(world.vectors)),
                "lat": world.places[:, 0],
                "lon": world.places[:, 1],
                "vector": pa.FixedSizeListArray.from_arrays(flat, dimension),
            }
        )
        self._table = lancedb.connect(str(folder)).create_table("bench", table)
        self._table.create_index(metric="dot", index_type="IVF_HNSW_SQ", vector_column_name="vector")
        self._table.create_scalar_index("lat")
        self._table.create_scalar_index("lon")
        self._world = world
        return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())

    def search(
        self, query: NDArray[np.float32], circle: tuple[NDArray[np.float64], float] | None
    ) -> list[int]:
        """See ``Engine``."""
        search = self._table.search(query).metric("dot").nprobes(20).refine_factor(2)
        if circle is None:
            return [row["id"] for row in search.limit(K).select(["id"]).to_list()]
        (latitude, longitude), radius = circle
        height = np.degrees(radius / _EARTH_M)
        width = min(180.0, height / max(np.cos(np.radians(min(89.9, abs(latitude) + height))), 1e-6))
        box = (
            f"lat >= {latitude - height} AND lat <= {latitude + height} "
            f"AND lon >= {longitude - width} AND lon <= {longitude + width}"
        )
        rows = search.where(box, prefilter=True).limit(4 * K).select(["id"]).to_list()
        inside = self._world.distances(circle[0]) <= radius
        return [row["id"] for row in rows if inside[row["id"]]][:K]


ENGINES: dict[str, tuple[str | None, Callable[[], Engine]]] = {
    "interplay": (None, Interplay),
    "faiss flat": ("faiss", lambda: Faiss("flat")),
    "faiss HNSW": ("faiss", lambda: Faiss("hnsw")),
    "lancedb": ("lancedb", Lance),
}


def circles(
    world: World, selectivity: float, count: int, seed: int = 1
) -> list[tuple[NDArray[np.float64], float]]:
    """Circles around random entries that hold a part of all entries."""
    rng = np.random.default_rng(seed)
    found = []
    for number in rng.integers(0, len(world.places), count):
        centre = world.places[number]
        radius = float(np.quantile(world.distances(centre), selectivity))
        found.append((centre, max(radius, 1.0)))
    return found


def measure(
    engine: Engine, world: World, places: Sequence[tuple[NDArray[np.float64], float] | None]
) -> dict[str, Any]:
    """Median time and recall at K of all queries, each in one of the circles."""
    seconds, recall = [], []
    for number, query in enumerate(world.queries):
        circle = places[number % len(places)]
        started = perf_counter()
        found = engine.search(query, circle)
        seconds.append(perf_counter() - started)
        inside = None if circle is None else world.distances(circle[0]) <= circle[1]
        truth = world.exact(query, inside)
        recall.append(len(truth & set(found)) / max(1, len(truth)))
    return {"ms": round(float(np.median(seconds)) * 1000, 2), "recall": round(float(np.mean(recall)), 4)}


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[200_000])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--selectivities", type=float, nargs="*", default=[0.001, 0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    plain, filtered = [], []
    for size in args.sizes:
        world = make_world(size, args.queries)
        cases = {part: circles(world, part, min(20, args.queries)) for part in args.selectivities}
        for name in args.engines:
            module, make = ENGINES[name]
            if module is not None and importlib.util.find_spec(module) is None:
                print(f"{name}: {module} is not installed, left out")
                continue
            engine = make()
            with tempfile.TemporaryDirectory() as folder:
                started = perf_counter()
                used = engine.build(world, Path(folder) / "index")
                built_s = perf_counter() - started
                free = measure(engine, world, [None])
                plain.append(
                    {"vectors": f"{size:,}", "engine": name, "build s": round(built_s, 1),
                     "bytes a vector": round(used / size), "ms": free["ms"], "recall@10": free["recall"]}
                )  # fmt: skip
                row: dict[str, Any] = {"vectors": f"{size:,}", "engine": name}
                for part, where in cases.items():
                    found = measure(engine, world, where)
                    row[f"{part:.1%}"] = f"{found['recall']:.3f} in {found['ms']:.1f} ms"
                filtered.append(row)
                print(plain[-1], row, flush=True)
    print_table("Searches without a filter", plain)
    print_table("Within circles that hold a part of all entries: recall@10 and median time", filtered)
    write(args.out, {"plain": plain, "filtered": filtered})


if __name__ == "__main__":
    main()
