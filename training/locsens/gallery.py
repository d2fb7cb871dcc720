"""Test photos of a world as the published models see them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from interplay.media.images import decode
from interplay.predictors.locsens.image import ImageTagger, TaggedImage
from interplay.predictors.locsens.retriever import ImageRanker, ScoreItem
from interplay.predictors.locsens.tagger import PlaceTagger, TagItem
from interplay.types import Image
from training.locsens.data import TaggedPhotos, load_photos
from training.locsens.features import load_features
from training.locsens.protocol import distance_km
from training.locsens.world import photo_file

Record = dict[str, Any]

NEAR_KM = 200.0
_BATCH = 32


@dataclass(frozen=True)
class Gallery:
    """Test photos of a world, and the published models that look at them.

    Attributes:
        photos: in the order of `load_photos`.
        known_places: (N, 2) degrees, places of the training photos.
        images: (N,) what the image model says of each photo.
        image, ranker, tagger: predictors.
        vectors: (N, D) of the photos.
    """

    photos: TaggedPhotos
    known_places: np.ndarray
    images: Sequence[TaggedImage]
    image: ImageTagger
    ranker: ImageRanker
    tagger: PlaceTagger
    vectors: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "vectors", np.stack([image.vector for image in self.images]))

    @classmethod
    def open(cls, world: Path, store: Path, features: Path | None = None) -> "Gallery":
        """Loads all three models, and has the image model look at the test photos.

        Args:
            world: folder of the world.
            store: root of the model store.
            features: folder of `training.locsens.features`, which saves reading the photos.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the models' vocabulary is not the world's, or the features are of other photos.
            InternalError: the store lacks a model, or they do not fit.
        """
        photos = load_photos(world, "test")
        image = ImageTagger.open(store)
        if tuple(image.manifest.labels) != tuple(photos.vocabulary):
            raise ValueError(
                f"{image.manifest.name} {image.manifest.version} of {store} has another vocabulary "
                f"({len(image.manifest.labels)} tags) than {world} ({len(photos.vocabulary)} tags)"
            )
        images: list[TaggedImage] = []
        known = load_features(features, "test", photos) if features is not None else None
        for start in range(0, len(photos.photos), _BATCH):
            rows = range(start, min(start + _BATCH, len(photos.photos)))
            if known is not None:
                batch = torch.from_numpy(np.asarray(known[rows.start : rows.stop], np.float32))
                images += image.tag_features(batch.to(image.device))
            else:
                images += image.predict([read_photo(photos.photos[row].url) for row in rows])
        return cls(
            photos,
            load_photos(world, "train").places,
            images,
            image,
            ImageRanker.open(store, image.manifest, image.tag_vectors),
            PlaceTagger.open(store, image.manifest, image.tag_vectors),
        )

    def number(self, tag: str) -> int:
        """Number of a tag in the vocabulary.

        Raises:
            ValueError: the vocabulary does not have it.
        """
        try:
            return list(self.photos.vocabulary).index(tag)
        except ValueError:
            count = len(self.photos.vocabulary)
            raise ValueError(f"tag {tag!r} is not one of the {count:,} of the world's vocabulary") from None

    def best_photos(self, tag: str, place: Record, count: int) -> list[Record]:
        """The photos that rank first for a tag at a place, best first."""
        where = _degrees(place)
        scores = self.ranker.score(ScoreItem(self.vectors, (self.number(tag),), where))
        best = np.argsort(-scores, kind="stable")[:count]
        away = distance_km(where, self.photos.places[best])
        return [
            self.photo(int(row))
            | {"score": _score(scores[row]), "km": round(float(km), 1)}
            | {"tagged": tag in self.photos.photos[row].tags}
            for row, km in zip(best, away, strict=True)
        ]

    def photo(self, row: int) -> Record:
        """What is known of a photo."""
        photo = self.photos.photos[row]
        place = {"town": photo.town, "country": photo.country}
        place |= {"latitude": photo.latitude, "longitude": photo.longitude}  # type: ignore[dict-item]
        return {"id": photo.id, "file": photo.url, **place, "tags": list(photo.tags)}

    def tags_alone(self, row: int, count: int) -> list[Record]:
        """The tags that are likeliest for a photo of which no place is known."""
        chances = self.images[row].chances
        best = np.argsort(-chances, kind="stable")[:count]
        return [{"tag": self.photos.vocabulary[tag], "chance": _score(chances[tag])} for tag in best]

    def tags_at(self, row: int, place: Record, count: int) -> list[Record]:
        """The tags that score best for a photo at a place; all of the vocabulary are scored."""
        image = self.images[row]
        found = self.tagger.tag(TagItem(image.vector, image.chances, _degrees(place), exact=True))
        best = zip(found.tags[:count], found.scores, strict=False)
        return [{"tag": self.photos.vocabulary[tag], "score": _score(score)} for tag, score in best]

    def known_near(self, place: Record) -> int:
        """How many training photos lie within `NEAR_KM` of a place."""
        return int((distance_km(_degrees(place), self.known_places) <= NEAR_KM).sum())


def read_photo(url: str) -> Image:
    """Pixels of a photo of a world.

    Raises:
        FileNotFoundError: the file is not there; the message says which and where photos are looked for.
    """
    file = photo_file(url)
    if not file.is_file():
        raise FileNotFoundError(
            f"photo {file} is missing; INTERPLAY_DATA_DIR and INTERPLAY_EXTRA_PHOTOS say where photos are"
        )
    return decode(file.read_bytes())


def _degrees(place: Record) -> np.ndarray:
    return np.array([place["latitude"], place["longitude"]])


def _score(value: float) -> float:
    return round(float(value), 4)
