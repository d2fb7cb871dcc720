"""Photos with tags and places, as the image models and the scorer are trained and judged on them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from training.datasets.yfcc import GeotaggedPhoto, read_split
from training.locsens.coordinates import check_places
from training.locsens.protocol import TaggedPlaces

PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class TaggedPhotos:
    """A part of a world, or of a split of YFCC100M.

    Attributes:
        photos: as the file has them.
        tags: for each photo the numbers of its tags in the vocabulary; at least one.
        places: (N, 2) float64, latitude and longitude in degrees.
        vocabulary: tags, most frequent first.
    """

    photos: Sequence[GeotaggedPhoto]
    tags: Sequence[np.ndarray]
    places: np.ndarray
    vocabulary: Sequence[str]

    @property
    def protocol(self) -> TaggedPlaces:
        """What the evaluation needs of them."""
        return TaggedPlaces(self.tags, self.places, len(self.vocabulary))

    def counts(self) -> np.ndarray:
        """(V,) photos that have each tag."""
        return np.bincount(np.concatenate(self.tags), minlength=len(self.vocabulary))

    def digest(self) -> str:
        """Digest of names, tags, places and vocabulary."""
        digest = hashlib.sha256("\n".join(self.vocabulary).encode())
        for photo, place in zip(self.photos, self.places, strict=True):
            digest.update(f"{photo.id};{','.join(photo.tags)};{place[0]:.6f};{place[1]:.6f}\n".encode())
        return digest.hexdigest()


def read_vocabulary(world: Path) -> list[str]:
    """Tags of a world, most frequent first.

    Raises:
        FileNotFoundError: the folder has no vocabulary; the message says what makes one.
    """
    file = world / "vocabulary.txt"
    if not file.is_file():
        raise FileNotFoundError(f"{file} is not there; python -m training.locsens.world makes it")
    return file.read_text(encoding="utf-8").split()


def load_photos(world: Path, part: str) -> TaggedPhotos:
    """Photos of one part that have a tag of the vocabulary.

    Args:
        world: folder of `training.locsens.world`, or of the same files made of YFCC100M.
        part: one of `PARTS`.

    Raises:
        ValueError: no such part, or a place off the globe.
        FileNotFoundError: a file is missing.
    """
    if part not in PARTS:
        raise ValueError(f"part must be one of {', '.join(PARTS)}, not {part!r}")
    vocabulary = read_vocabulary(world)
    number = {tag: index for index, tag in enumerate(vocabulary)}
    photos, tags = [], []
    for photo in read_split(world / f"{part}.txt"):
        own = np.array([number[tag] for tag in photo.tags if tag in number], np.int64)
        if len(own):
            photos.append(photo)
            tags.append(own)
    places = check_places(np.array([(photo.latitude, photo.longitude) for photo in photos]))
    return TaggedPhotos(photos, tags, places, vocabulary)
