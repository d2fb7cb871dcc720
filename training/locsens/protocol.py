"""The thesis's evaluation of retrieval and tagging with places (5.4.2 to 5.4.4; facts 8.6).

Retrieval: a query is a tag and a place; an image is right when it has the tag and lies within a threshold of
the place. Precision at 10 is always divided by 10. Queries are one random tag of each test image, at its
place; those whose tag fewer than 10 test images have are left out, and equal ones count once.

The thesis ranks the image that a query was made of, too, and counts it. Here this is a switch: without it the
images that a query was made of are in no ranking (`own=False`, the default).

Tagging: A@1 and A@10 (is the best tag, is any of the best ten right), and how many of the test set's tags are
predicted and predicted rightly at least once (%pred, %cpred).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from pyproj import Geod

THRESHOLDS_KM = (np.inf, 2500.0, 750.0, 200.0, 25.0, 1.0)
THRESHOLD_NAMES = ("agnostic", "continent", "country", "region", "city", "street")
TOP = 10
_ELLIPSOID = Geod(ellps="WGS84")
_CHUNK = 256  # queries scored at a time


@dataclass(frozen=True)
class TaggedPlaces:
    """Images of a set with what the protocol needs of them.

    Attributes:
        tags: for each image the numbers of its tags in the vocabulary.
        places: (N, 2) float64, latitude and longitude in degrees.
        vocabulary: number of tags.
    """

    tags: Sequence[np.ndarray]
    places: np.ndarray
    vocabulary: int

    def images_of(self) -> dict[int, np.ndarray]:
        """For each tag that occurs the numbers of its images, ascending."""
        found: dict[int, list[int]] = {}
        for image, tags in enumerate(self.tags):
            for tag in np.unique(tags):
                found.setdefault(int(tag), []).append(image)
        return {tag: np.array(images) for tag, images in sorted(found.items())}


@dataclass(frozen=True)
class Query:
    """A tag at a place.

    Attributes:
        tag: its number.
        place: (2,) latitude and longitude in degrees.
        images: numbers of the images that it was made of.
    """

    tag: int
    place: np.ndarray
    images: tuple[int, ...]


Scorer = Callable[[Sequence[Query]], np.ndarray]  # to (Q, N) scores of all images, larger is better


def distance_km(place: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Geodesic distances on WGS84 from one place to others.

    Args:
        place: (2,) latitude and longitude in degrees.
        places: (N, 2).

    Returns:
        (N,) kilometres.
    """
    count = len(places)
    _, _, metres = _ELLIPSOID.inv(
        np.full(count, place[1]), np.full(count, place[0]), places[:, 1], places[:, 0]
    )
    return np.asarray(metres) / 1000


def make_queries(photos: TaggedPlaces, seed: int = 0, least: int = TOP) -> list[Query]:
    """One random tag of each image, at its place; equal ones once, those of rare tags left out.

    Args:
        photos: test set.
        seed: of the tags.
        least: images that must have a query's tag.
    """
    rng = np.random.default_rng(seed)
    common = {tag for tag, images in photos.images_of().items() if len(images) >= least}
    made: dict[tuple[int, float, float], list[int]] = {}
    for image, tags in enumerate(photos.tags):
        if not len(tags):
            continue
        tag = int(tags[rng.integers(len(tags))])
        if tag in common:
            latitude, longitude = map(float, photos.places[image])
            made.setdefault((tag, latitude, longitude), []).append(image)
    return [
        Query(tag, np.array([latitude, longitude]), tuple(images))
        for (tag, latitude, longitude), images in made.items()
    ]


def retrieval_precision(
    photos: TaggedPlaces, queries: Sequence[Query], score: Scorer, *, own: bool = False
) -> np.ndarray:
    """P@10 of every query at every threshold.

    Args:
        photos: test set.
        queries: see `make_queries`.
        score: scores of all images for some queries.
        own: whether the images that a query was made of are ranked.

    Returns:
        (Q, 6) in [0, 1], one column a threshold of `THRESHOLDS_KM`.
    """
    images_of = photos.images_of()
    rows = []
    for chunk in _chunks(queries):
        scores = np.array(score(chunk), np.float32)
        for query, row in zip(chunk, scores, strict=True):
            if not own:
                row[list(query.images)] = -np.inf
            # A stable sort: of equal scores the earlier image comes first, as in the thesis's code.
            best = np.argsort(-row, kind="stable")[:TOP]
            best = best[np.isfinite(row[best])]
            rows.append(_hits(photos, query, best[np.isin(best, images_of[query.tag])]))
    return np.array(rows).reshape(-1, len(THRESHOLDS_KM))


def upper_bound(photos: TaggedPlaces, queries: Sequence[Query], *, own: bool = False) -> np.ndarray:
    """The best P@10 that any ranking has: images with the tag, nearest first. (Q, 6)."""
    images_of = photos.images_of()
    rows = []
    for query in queries:
        images = images_of[query.tag]
        if not own:
            images = images[~np.isin(images, query.images)]
        nearest = np.argsort(distance_km(query.place, photos.places[images]), kind="stable")[:TOP]
        rows.append(_hits(photos, query, images[nearest]))
    return np.array(rows).reshape(-1, len(THRESHOLDS_KM))


def _hits(photos: TaggedPlaces, query: Query, right: np.ndarray) -> np.ndarray:
    """(6,) shares of the ten places that images with the tag take, within each threshold."""
    if not len(right):
        return np.zeros(len(THRESHOLDS_KM))
    away = distance_km(query.place, photos.places[right])
    return np.array([(away <= threshold).sum() / TOP for threshold in THRESHOLDS_KM])


def tag_precision(photos: TaggedPlaces, images: np.ndarray, tags: np.ndarray) -> np.ndarray:
    """P@10 of plain retrieval (5.4.2): one query for each tag that at least ten images have.

    Args:
        photos: test set.
        images: (N, D) vectors.
        tags: (vocabulary, D) vectors; ranked by cosine.

    Returns:
        (T,) in [0, 1].
    """
    images, tags = _unit(images), _unit(tags)
    rows = []
    for tag, having in photos.images_of().items():
        if len(having) >= TOP:
            best = np.argsort(-(images @ tags[tag]), kind="stable")[:TOP]
            rows.append(np.isin(best, having).mean())
    return np.array(rows)


@dataclass(frozen=True)
class TaggingScores:
    """What tagging is judged by; all in [0, 1].

    Attributes:
        at_1: (N,) whether the best tag of each image is right.
        at_10: (N,) whether any of its ten best is.
        predicted: part of the test set's tags that are among some image's ten best.
        rightly: part that are so and right.
    """

    at_1: np.ndarray
    at_10: np.ndarray
    predicted: float
    rightly: float


def tagging_scores(photos: TaggedPlaces, best: np.ndarray) -> TaggingScores:
    """Scores of the ten best tags of every image.

    Args:
        photos: test set; images without a tag are left out.
        best: (N, 10) numbers of tags, best first.

    Raises:
        ValueError: not ten tags for every image.
    """
    if best.shape != (len(photos.tags), TOP):
        raise ValueError(f"best is of shape {best.shape}, not {(len(photos.tags), TOP)}")
    told = [image for image, tags in enumerate(photos.tags) if len(tags)]
    right = np.stack([np.isin(best[image], photos.tags[image]) for image in told])
    there = np.unique(np.concatenate([photos.tags[image] for image in told]))
    predicted = np.intersect1d(best[told], there)
    rightly = np.unique(best[told][right])
    return TaggingScores(
        right[:, 0], np.asarray(right.any(1)), len(predicted) / len(there), len(rightly) / len(there)
    )  # fmt: skip


def _chunks(queries: Sequence[Query]) -> Iterator[Sequence[Query]]:
    for start in range(0, len(queries), _CHUNK):
        yield queries[start : start + _CHUNK]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
