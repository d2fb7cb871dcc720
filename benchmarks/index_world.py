"""What ``benchmarks.index`` indexes and asks: vectors like those of photos, from the shipped words alone.

A photo is a sum of some words, most of them near its first one, seen through one fixed mixing of the word
space (photos are not where their words are: the best of 35,000 has a cosine of 0.4 with a query), with
noise. The numbers were set by comparing with 35,047 real photos: intrinsic dimension, spread of the cosines,
and how much FAISS's HNSW graph finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from interplay.predictors.embedding.text import TextEmbedder
from interplay.settings import REPOSITORY_ROOT
from interplay.store import resolve

K = 10
EARTH_M = 6_371_008.8
_BLOCK = 50_000
_CITIES = 3_000
_LOCAL_WORDS = 10
_OTHERS = 1000

# Centre in degrees (latitude, longitude) and radius in metres.
Circle = tuple[NDArray[np.float64], float]


class Photos:
    """Draws vectors and queries.

    Args:
        local: Part of the photos whose first word is one of its city's: then a circle on the map holds
            vectors that are alike.
    """

    def __init__(self, local: float = 0.0) -> None:
        self._words = TextEmbedder.load(
            resolve(REPOSITORY_ROOT / "model_store", "embedding-words")
        ).table.vectors
        count, dimension = self._words.shape
        self._local = local
        chance = 1 / np.arange(2, count + 2)  # frequent words come first in the table
        self._chance = chance / chance.sum()
        fixed = np.random.default_rng(0)
        mean = self._words.mean(axis=0)
        self._common = mean / np.linalg.norm(mean)
        centred = self._words - 0.6 * (self._chance @ self._words) - 0.4 * mean
        centred -= 0.8 * np.outer(centred @ self._common, self._common)
        values, axes = np.linalg.eigh(np.cov(centred.T))
        spread = np.sqrt(np.maximum(values, 1e-6))
        turn = np.linalg.qr(fixed.normal(size=(dimension, dimension)))[0]
        self._looks = centred + 3 * (centred @ (axes / spread)) @ turn @ (axes * spread).T
        units = _unit(self._looks)
        self._near = np.argsort(-(units @ units.T), axis=1)[:, :10]
        self._cities = np.stack([fixed.uniform(-60, 70, _CITIES), fixed.uniform(-180, 180, _CITIES)], axis=1)
        share = 1 / np.arange(10, _CITIES + 10)
        self._share = share / share.sum()
        self._own = fixed.choice(count, (_CITIES, _LOCAL_WORDS), p=self._chance)

    def draw(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """(N, D) vectors of length one, and (N, 2) places in degrees."""
        blocks = [self._block(min(_BLOCK, count - start), rng) for start in range(0, count, _BLOCK)]
        return np.concatenate([block[0] for block in blocks]), np.concatenate([block[1] for block in blocks])

    def _block(self, count: int, rng: np.random.Generator) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        city = rng.choice(_CITIES, count, p=self._share)
        places = self._cities[city] + rng.normal(0, 0.1, (count, 2))
        first = rng.choice(len(self._words), count, p=self._chance)
        local = rng.random(count) < self._local
        first = np.where(local, self._own[city, rng.integers(0, _LOCAL_WORDS, count)], first)
        total = self._looks[first]
        for _ in range(5):
            like = self._near[first, rng.integers(0, self._near.shape[1], count)]
            other = rng.choice(len(self._words), count, p=self._chance)
            word = np.where(rng.random(count) < 0.8, like, other)
            total += rng.gamma(0.5, 2, (count, 1)) * self._looks[word]
        total = _unit(total) - 0.25 * self._common
        total += 0.25 * rng.normal(size=total.shape) / np.sqrt(total.shape[1])
        return _unit(total).astype(np.float32), np.clip(places, (-90, -180), (90, 180))

    def word_queries(self, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """(N, D) queries of length one: sums of one to three words."""
        numbers = rng.integers(1, 4, (count, 1))
        total = np.zeros((count, self._words.shape[1]), np.float32)
        for number in range(3):
            total += (numbers > number) * self._words[rng.choice(len(self._words), count, p=self._chance)]
        return _unit(total)


@dataclass(frozen=True)
class World:
    """What is indexed and what is asked.

    Attributes:
        vectors: (N, D) float32 of length one.
        places: (N, 2) float64, latitude and longitude in degrees.
        queries: (Q, D) float32 of length one; words and photos in turn.
        others: (W, D) float32 of length one; further words, to warm up with.
    """

    vectors: NDArray[np.float32]
    places: NDArray[np.float64]
    queries: NDArray[np.float32]
    others: NDArray[np.float32]

    @classmethod
    def make(
        cls,
        size: int,
        queries: int,
        seed: int,
        local: float = 0.0,
        real: NDArray[np.float32] | None = None,
    ) -> World:
        """Draw a world.

        Args:
            size: Vectors.
            queries: How many are asked.
            seed: Of everything but what words look like and where cities are.
            local: See ``Photos``.
            real: Vectors of photos to take in place of drawn ones; at least ``size + queries / 2``.
        """
        photos, rng = Photos(local), np.random.default_rng(seed)
        half = queries // 2
        vectors, places = photos.draw(size + half, rng)
        if real is not None:
            if len(real) < len(vectors):
                raise ValueError(f"there are {len(real)} vectors; {len(vectors)} are needed")
            vectors = real[rng.permutation(len(real))[: len(vectors)]]
        asked = np.empty((queries, vectors.shape[1]), np.float32)
        asked[0::2] = photos.word_queries(queries - half, rng)
        asked[1::2] = vectors[size:]
        return cls(vectors[:size], places[:size], asked, photos.word_queries(_OTHERS, rng))

    @cached_property
    def _xyz(self) -> NDArray[np.float64]:
        return _on_sphere(self.places)

    def inside(self, circle: Circle) -> NDArray[np.bool_]:
        """(N,) whether the places are in a circle."""
        return np.asarray(self.distances(circle[0]) <= circle[1])

    def distances(self, centre: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N,) metres from a place, along a sphere."""
        chord = np.linalg.norm(self._xyz - _on_sphere(centre[None]), axis=1)
        return np.asarray(2 * EARTH_M * np.arcsin(np.minimum(chord / 2, 1)))

    def circles(self, selectivity: float, count: int, seed: int) -> list[Circle]:
        """Circles around random entries that hold a part of all entries."""
        rng = np.random.default_rng(seed)
        found = []
        for number in rng.integers(0, len(self.places), count):
            centre = self.places[number]
            radius = float(np.quantile(self.distances(centre), selectivity))
            found.append((centre, max(radius, 1.0)))
        return found

    def exact(self, cases: list[list[Circle] | None]) -> list[list[set[int]]]:
        """By case and query, the K nearest of those in the query's circle, by comparing all."""
        masks = [
            None if circles is None else [self.inside(circle) for circle in circles] for circles in cases
        ]
        truth: list[list[set[int]]] = [[] for _ in cases]
        for number, query in enumerate(self.queries):
            scores = self.vectors @ query
            for found, inside in zip(truth, masks, strict=True):
                kept = scores if inside is None else np.where(inside[number % len(inside)], scores, -2)
                best = np.argpartition(-kept, K)[:K]
                found.append({int(i) for i in best if kept[i] > -2})
        return truth


def _unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def _on_sphere(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3) points of the unit sphere."""
    latitude, longitude = np.radians(places).T
    flat = np.cos(latitude)
    return np.stack([flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1)
