"""ICDAR's form of a data set: a file of words for each image (2013 and 2015, Robust Reading)."""

from __future__ import annotations

import math
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from interplay.errors import InvalidParameter, NotFound
from interplay.jobs.augment_sources import INPUT, Form, Polygons, Source, failure, split_suffix

DONT_CARE = "###"
# Left, top, right, bottom and a quoted transcription: 2013.
_LINE_2013 = re.compile(r'^\s*(-?\d+)[,\s]+(-?\d+)[,\s]+(-?\d+)[,\s]+(-?\d+)[,\s]+"(.*)"\s*$')


@dataclass(frozen=True)
class Truth:
    """What an ICDAR file says.

    Attributes:
        words: Number of words.
        legible: Of these, how many have a transcription.
        polygons: Their outlines.
        fault: The first line of another form; None when all could be read.
    """

    words: int
    legible: int
    polygons: Polygons
    fault: str | None


class IcdarForm(Form):
    """A folder of images, each with a file ``gt_<stem>.txt`` beside it or in a folder next to its own."""

    def sources(self, *, with_polygons: bool) -> Iterator[Source]:
        """See ``Form``; polygons are read with the file, later."""
        place = self._datasets.resolve(self._url, name=INPUT)
        if not place.filesystem.isdir(place.path):
            raise InvalidParameter(f"{self._url!r} is no folder, as form icdar needs", field=INPUT)
        truths = {
            relative: url
            for relative, url in self._datasets.files(self._url, name=INPUT)
            if posixpath.basename(relative).startswith("gt_") and relative.endswith(".txt")
        }
        if not truths:
            raise InvalidParameter(
                f"there are no gt_*.txt files in {self._url!r}; images without annotations need a JSONL list",
                field=INPUT,
            )
        images = list(self._datasets.images(self._url, name=INPUT))
        pairs = _pair([item.id for item in images], truths)
        for item in images:
            if truth := pairs.get(item.id):
                yield Source(item.id, item.image, item.id, truth=[truths[truth], truth])
            else:
                name = _truth_name(item.id)
                error = NotFound(f"there is no {name}, beside it or in a folder next to its own")
                yield Source(item.id, item.image, item.id, error=failure(error))


def parse_icdar(content: bytes) -> Truth:
    """Words of an ICDAR 2013 or 2015 file, as far as they can be read."""
    polygons: Polygons = []
    legible = 0
    fault = None
    for number, line in enumerate(content.decode("utf-8-sig", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        parsed = _word(line)
        if parsed is None:
            fault = fault or f"line {number} is not of ICDAR 2013's or 2015's form: {line[:80]!r}"
            continue
        polygons.append(parsed[0])
        legible += parsed[1] != DONT_CARE
    return Truth(len(polygons), legible, polygons, fault)


def _word(line: str) -> tuple[list[list[float]], str] | None:
    """Outline and transcription; None when the line is of neither form."""
    values = line.split(",", 8)
    if match := _LINE_2013.match(line):
        left, top, right, bottom = (float(value) for value in match.groups()[:4])
        return [[left, top], [right, top], [right, bottom], [left, bottom]], match.group(5)
    try:
        numbers = [float(value) for value in values[:8]]
    except ValueError:
        return None
    if len(values) < 9 or not all(map(math.isfinite, numbers)):
        return None
    return [[x, y] for x, y in zip(numbers[::2], numbers[1::2], strict=True)], values[8].strip()


def _truth_name(image: str) -> str:
    return f"gt_{split_suffix(posixpath.basename(image))[0]}.txt"


def _pair(images: list[str], truths: Iterable[str]) -> dict[str, str]:
    """The ICDAR file of each image: one beside it, or else one of nobody's in a folder nearby."""
    pairs = {}
    for image in images:
        beside = posixpath.join(posixpath.dirname(image), _truth_name(image))
        if beside in truths:
            pairs[image] = beside
    taken = set(pairs.values())
    free = defaultdict(list)
    for truth in truths:
        if truth not in taken:
            free[posixpath.basename(truth)].append(truth)
    for image in images:
        if image in pairs:
            continue
        near = [truth for truth in free[_truth_name(image)] if _is_near(truth, image)]
        if len(near) > 1:
            raise InvalidParameter(
                f"{image!r} may belong to {near[0]!r} or to {near[1]!r}: give each part of the data set "
                "a folder of its own",
                field=INPUT,
            )
        if near:
            pairs[image] = near[0]
    owner: dict[str, str] = {}
    for image, truth in pairs.items():
        if truth in owner:
            raise InvalidParameter(f"{owner[truth]!r} and {image!r} share the file {truth!r}", field=INPUT)
        owner[truth] = image
    return pairs


def _is_near(truth: str, image: str) -> bool:
    """Whether one's folder is beside, in or around the other's."""
    theirs, ours = posixpath.dirname(truth), posixpath.dirname(image)
    above = posixpath.dirname(ours)
    return posixpath.dirname(theirs) in (ours, above) or theirs == above
