"""What ``benchmarks.locsens`` searches and tags: photos of a world and photos drawn beyond them.

Drawn photos are mixtures of real ones: a photo's vector, some of another one's, and noise, brought to length
one; their places are real coordinates of photos (``geo/coordinates_100K.csv``), which know nothing of the
vectors. Without a world vectors are random and the network is untrained: enough to measure speed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from interplay.models.locsens import COMPACT, LocSens
from interplay.predictors.locsens.image import ImageTagger, unit
from interplay.predictors.locsens.near import NearTags
from interplay.predictors.locsens.retriever import ImageRanker
from interplay.predictors.locsens.scorer import TripletScorer
from interplay.predictors.locsens.tagger import PlaceTagger
from interplay.store import Manifest, resolve
from training.locsens.data import load_photos
from training.locsens.features import load_features
from training.locsens.protocol import Query, TaggedPlaces, make_queries
from training.locsens.spots import read_coordinates
from training.text_detection.paths import data_dir

_DIMENSION, _TAGS = 128, 1_000
_ANOTHER, _NOISE = 0.5, 0.3  # at most of another photo; length of the noise
_BLOCK = 4096
_CELLS, _TAGS_A_CELL = 500, 96
COORDINATES = "geo/coordinates_100K.csv"
PARTS = ("test", "train", "val")


@dataclass(frozen=True)
class Models:
    """The published models, or untrained ones.

    Attributes:
        ranker: Of images.
        tagger: Of tags; None if untrained.
        image: The image model; None if untrained.
        manifest: The image model's, whose space the index is in.
        tags: (V, D) float32 vectors of length one.
    """

    ranker: ImageRanker
    tagger: PlaceTagger | None
    image: ImageTagger | None
    manifest: Manifest
    tags: NDArray[np.float32]

    @property
    def trained(self) -> bool:
        """Whether these are the published models."""
        return self.tagger is not None


@dataclass(frozen=True)
class Photos:
    """Photos with vectors, places and tags; those of a world come part by part, test first.

    Attributes:
        vectors: (N, D) float32 of length one.
        places: (N, 2) float64 degrees.
        tags: For each photo the numbers of its tags; empty without a world.
        test: How many belong to the test part.
        features: (test, F) float16 of the backbone; None without a world.
    """

    vectors: NDArray[np.float32]
    places: NDArray[np.float64]
    tags: Sequence[NDArray[np.int64]] = ()
    test: int = 0
    features: NDArray[np.float16] | None = field(default=None, repr=False)

    def protocol(self, count: int, vocabulary: int) -> TaggedPlaces:
        """The first photos as the evaluation takes them."""
        return TaggedPlaces(self.tags[:count], self.places[:count], vocabulary)

    def grown(self, size: int, seed: int) -> Photos:
        """So many photos: a random choice of these, and drawn ones where there are not as many."""
        rng = np.random.default_rng([seed, 3])
        rows = rng.permutation(len(self.vectors))[:size]
        vectors, places = [self.vectors[rows]], [self.places[rows]]
        if (more := size - len(rows)) > 0:
            known = read_coordinates(data_dir() / COORDINATES)
            vectors.append(draw_vectors(self.vectors, more, rng))
            places.append(known[rng.integers(0, len(known), more)])
        return Photos(np.concatenate(vectors), np.concatenate(places))


def draw_vectors(real: NDArray[np.float32], count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """(count, D) vectors of length one that are mixtures of real ones; see the module."""
    made = np.empty((count, real.shape[1]), np.float32)
    for start in range(0, count, _BLOCK):
        rows = made[start : start + _BLOCK]
        one, other = rng.integers(0, len(real), (2, len(rows)))
        share = rng.uniform(0, _ANOTHER, (len(rows), 1))
        noise = rng.normal(size=rows.shape) * _NOISE / np.sqrt(real.shape[1])
        rows[:] = unit((real[one] + share * real[other] + noise).astype(np.float32))
    return made


def open_models(store: Path) -> Models:
    """The published models on the CPU, in float32."""
    manifest = resolve(store, "locsens-image").manifest
    image = ImageTagger.open(store, device="cpu")
    tags = image.tag_vectors
    return Models(
        ImageRanker.open(store, manifest, tags, device="cpu"),
        PlaceTagger.open(store, manifest, tags, device="cpu"),
        image,
        manifest,
        tags,
    )


def untrained_models(seed: int) -> Models:
    """Networks of the shipped shape with random weights."""
    torch.manual_seed(seed)
    tags = unit(np.random.default_rng([seed, 4]).normal(size=(_TAGS, _DIMENSION)).astype(np.float32))
    network = LocSens(replace(COMPACT, image=_DIMENSION, tag=_DIMENSION))
    for parameter in network.parameters():  # of a size that lets images differ in their scores
        torch.nn.init.normal_(parameter, std=0.1)
    manifest = Manifest(
        name="untrained", version=1, capability="locsens", architecture="locsens", description="untrained",
        license="none", parameters=0, config={"dimension": _DIMENSION},
    )  # fmt: skip
    return Models(ImageRanker(TripletScorer(network, tags), manifest), None, None, manifest, tags)


def read_photos(world: Path, features: Path, image: ImageTagger) -> Photos:
    """All photos of a world with the vectors that the image model makes of their features."""
    vectors, places, tags, kept, test = [], [], [], None, 0
    for part in PARTS:
        photos = load_photos(world, part)
        values = load_features(features, part, photos)
        if kept is None:
            kept, test = values, len(values)
        for start in range(0, len(values), _BLOCK):
            chunk = torch.from_numpy(values[start : start + _BLOCK].astype(np.float32))
            vectors += [tagged.vector for tagged in image.tag_features(chunk)]
        places.append(photos.places)
        tags += photos.tags
    return Photos(np.stack(vectors), np.concatenate(places), tags, test, kept)


def random_photos(count: int, dimension: int, seed: int) -> Photos:
    """Photos without a world."""
    rng = np.random.default_rng([seed, 5])
    vectors = unit(rng.normal(size=(count, dimension)).astype(np.float32))
    places = np.stack([rng.uniform(-60, 70, count), rng.uniform(-180, 180, count)], axis=1)
    return Photos(vectors, places)


def queries(photos: Photos, vocabulary: int, count: int, seed: int) -> list[Query]:
    """Tags at places: of the world's test photos as the evaluation makes them, or random ones."""
    rng = np.random.default_rng([seed, 6])
    if photos.test:
        made = make_queries(photos.protocol(photos.test, vocabulary), seed)
        return [made[row] for row in rng.permutation(len(made))[:count]]
    rows = rng.integers(0, len(photos.places), count)
    return [Query(int(rng.integers(vocabulary)), photos.places[row], ()) for row in rows]


def synthetic_tagger(
    models: Models, known: Photos, count: int, seed: int
) -> tuple[PlaceTagger, NDArray[np.float32]]:
    """A tagger with a vocabulary of any size, and its tags' vectors. Tags near places are random."""
    rng = np.random.default_rng([seed, 7])
    tags = models.tags[:count]
    if count > len(tags):
        tags = np.concatenate([tags, draw_vectors(models.tags, count - len(tags), rng)])
    network = (models.tagger or models.ranker).scorer.model
    centres = known.places[rng.integers(0, len(known.places), _CELLS)].astype(np.float32)
    often = rng.random((_CELLS, _TAGS_A_CELL)) ** 4  # some tags are used in many places
    near = NearTags(centres, (count * often).astype(np.int32))
    return PlaceTagger(TripletScorer(network, tags), near, models.manifest), tags
