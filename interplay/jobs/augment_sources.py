"""What ``augment_dataset`` takes from a data set of any form, and how the copies are named."""

from __future__ import annotations

import posixpath
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields
from typing import Any

from interplay.datasets import IMAGE_EXTENSIONS, Datasets
from interplay.errors import InterplayError, InvalidParameter

Polygons = list[list[list[float]]]

INPUT = "params.input"
_SUFFIXES = {"png": (".png",), "jpeg": (".jpg", ".jpeg"), "webp": (".webp",)}


@dataclass(frozen=True)
class Source:
    """One image of the input.

    Attributes:
        id: Its name in the data set; decides which styles it gets.
        image: Path or URL.
        file: Path of its copy in the output.
        truth: Path or URL of its ICDAR file, and the path of that in the output.
        polygons: Outlines of its words, where the form has them at hand and they are asked for.
        extra: The JSONL line's other fields.
        error: Why it cannot be used, as in ``failed.jsonl``.
    """

    id: str
    image: str
    file: str
    truth: list[str] | None = None
    polygons: Polygons | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    error: dict[str, str] | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object, without what is empty."""
        values = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value for name, value in values if value not in (None, {})}


@dataclass(frozen=True)
class Written:
    """One image of the output; number 0 is the original."""

    number: int
    file: str
    style: str | None


class Form(ABC):
    """How one data set is written down.

    Args:
        datasets: Where it lies.
        url: The input: a folder or a file.

    Attributes:
        annotations: Name of the one annotations file in the output; None where there is none.
    """

    annotations: str | None = None

    def __init__(self, datasets: Datasets, url: str) -> None:
        self._datasets = datasets
        self._url = url

    @abstractmethod
    def sources(self, *, with_polygons: bool) -> Iterator[Source]:
        """The images, in a fixed order.

        Raises:
            NotFound: There is no such input.
            InvalidParameter: It is not of this form.
        """

    def lines(self, source: Source, images: list[Written]) -> bytes:
        """What the annotations file says of an image and its variants; called in the order of images."""
        return b""

    def rest(self) -> Iterator[bytes]:
        """What comes after the last of ``lines``."""
        return iter(())


def failure(error: InterplayError) -> dict[str, str]:
    """An ``InterplayError`` as ``failed.jsonl`` tells it."""
    return {"reason": error.row.reason, "message": error.message}


def variant_file(file: str, number: int, image_format: str = "same") -> str:
    """Name of a variant: ``img_1.jpg`` is ``img_1_s2.jpg`` as its second; a format may change the suffix."""
    stem, suffix = split_suffix(file)
    suffixes = _SUFFIXES.get(image_format, ())
    if suffixes and suffix.lower() not in suffixes:
        suffix = suffixes[0]
    return f"{stem}_s{number}{suffix}"


def check_names(sources: Iterable[Source], *, variants: int, image_format: str, originals: bool) -> None:
    """See that no two images of the output have one name.

    Raises:
        InvalidParameter: Names the two.
    """
    usable = [source for source in sources if source.error is None]
    _check_files([s.file for s in usable], variants, image_format, originals)
    _check_files([s.truth[1] for s in usable if s.truth], variants, "same", originals)


def split_suffix(file: str) -> tuple[str, str]:
    """Stem and suffix; what is no suffix of an image or text file belongs to the stem."""
    stem, suffix = posixpath.splitext(file)
    return (stem, suffix) if suffix.lower() in (*IMAGE_EXTENSIONS, ".txt") else (file, "")


def _check_files(files: list[str], variants: int, image_format: str, originals: bool) -> None:
    numbered = re.compile(r"(.+_s)([1-9]\d*)")
    first: dict[str, str] = {}
    for file in files:
        name = variant_file(file, 1, image_format)
        if name in first:
            raise InvalidParameter(
                f"variants of {first[name]!r} and of {file!r} would both be named {name!r}", field=INPUT
            )
        first[name] = file
    for file in files if originals else ():
        stem, suffix = split_suffix(file)
        match = numbered.fullmatch(stem)
        owner = first.get(f"{match[1]}1{suffix}") if match and int(match[2]) <= variants else None
        if owner is not None:
            raise InvalidParameter(
                f"{file!r} is in the input, and a variant of {owner!r} would be named the same", field=INPUT
            )
