"""Forms of annotated data sets that ``augment_dataset`` reads and writes: ICDAR, COCO-Text and JSONL.

A form lists the images of a data set, says where the copies go, and writes the annotations of the
copies: words stay where they are when their looks change, so annotations are carried over as they
came. ICDAR has a file for each image, written with it; the others have one file, written at the end.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from interplay.datasets import Datasets, ImageItem
from interplay.errors import InvalidInput, InvalidParameter, NotFound, PermissionDenied
from interplay.jobs.augment_icdar import IcdarForm
from interplay.jobs.augment_sources import INPUT, Form, Polygons, Source, Written, failure

_MAX_COCO_BYTES = 1024**3
_SCHEME = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*://")
Copies = list[tuple[str, list[Written]]]


class CocoTextForm(Form):
    """A JSON file with ``imgs``, ``anns`` and ``imgToAnns``; ``file_name`` starts in the file's folder."""

    def __init__(self, datasets: Datasets, url: str) -> None:
        super().__init__(datasets, url)
        self.annotations = posixpath.basename(url)
        self._written: list[tuple[str, list[Written]]] = []

    def sources(self, *, with_polygons: bool) -> Iterator[Source]:
        """See ``Form``."""
        content = self._read()
        folder = self._datasets.resolve(self._url, name=INPUT).url.rpartition("/")[0]
        for number in sorted(content["imgs"], key=int):
            name = content["imgs"][number].get("file_name")
            if not isinstance(name, str) or not _stays_inside(name):
                error = InvalidInput(
                    f"its file_name {name!r} is not a path inside the folder of {self._url!r}"
                )
                yield Source(number, str(name), "", error=failure(error))
                continue
            polygons = None
            if with_polygons:
                words = content["imgToAnns"].get(number, ())
                try:
                    polygons = [_coco_outline(content["anns"][str(word)]) for word in words]
                except InvalidInput as error:
                    yield Source(number, f"{folder}/{name}", "", error=failure(error))
                    continue
            yield Source(number, f"{folder}/{name}", posixpath.normpath(name), polygons=polygons)

    def lines(self, source: Source, images: list[Written]) -> bytes:
        """Remembers them: each of the three parts of the file tells of all images."""
        self._written.append((source.id, images))
        return b""

    def rest(self) -> Iterator[bytes]:
        """The whole file, a piece at a time: with all variants it may be many times the input's."""
        content = self._read()
        parts = {"imgs": _coco_images, "anns": _coco_annotations, "imgToAnns": _coco_index}
        for number, (key, value) in enumerate(content.items()):
            yield f"{', ' if number else '{'}{json.dumps(key)}: ".encode()
            if key in parts:
                yield from _json_object(parts[key](content, self._written))
            else:
                yield json.dumps(value).encode()
        yield b"}\n"

    def _read(self) -> dict[str, Any]:
        raw = self._datasets.read_bytes(self._url, max_bytes=_MAX_COCO_BYTES, name=INPUT)
        try:
            content = json.loads(raw)
            known = content["anns"].keys()
            for image, words in content["imgToAnns"].items():
                if not {str(word) for word in words} <= known:
                    raise ValueError(f"imgToAnns of {image!r} has an id that anns has not")
            for number, image in content["imgs"].items():
                int(number), image.get("file_name")
            for number in known:
                int(number)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidParameter(
                f"{self._url!r} is not COCO-Text, which has imgs, anns and imgToAnns: {error}", field=INPUT
            ) from error
        return dict(content)


class JsonlForm(Form):
    """A JSONL file with an ``image`` in each line; other fields are kept, whatever they are."""

    def __init__(self, datasets: Datasets, url: str) -> None:
        super().__init__(datasets, url)
        self.annotations = posixpath.basename(url)

    def sources(self, *, with_polygons: bool) -> Iterator[Source]:
        """See ``Form``; copies lie as the images do below the folder that holds them all."""
        place = self._datasets.resolve(self._url, name=INPUT)
        if place.filesystem.isdir(place.path):
            raise InvalidParameter(f"{self._url!r} is a folder; form jsonl needs a file", field=INPUT)
        items = [(item, self._fault(item)) for item in self._datasets.images(self._url, name=INPUT)]
        reachable = [_parts(item.image) for item, fault in items if fault is None]
        above = _folder_of_all(reachable, _parts(place.url)[:-1])
        for item, error in items:
            parts = _parts(item.image)[len(above) :]
            file = "/".join(part.rstrip(":/") for part in parts if part)
            polygons = None
            if with_polygons and error is None:
                try:
                    polygons = _jsonl_polygons(item)
                except InvalidInput as fault:
                    error = failure(fault)
            yield Source(item.id, item.image, file, polygons=polygons, extra=item.extra, error=error)

    def _fault(self, item: ImageItem) -> dict[str, str] | None:
        """Why an image may not be read: one outside the roots must not decide where the others go."""
        try:
            self._datasets.resolve(item.image, name="image")
        except PermissionDenied as error:
            return failure(error)
        return None

    def lines(self, source: Source, images: list[Written]) -> bytes:
        """A line for each."""
        lines = []
        for image in images:
            name = source.id if image.number == 0 else f"{source.id}_s{image.number}"
            told = {"source": source.image, "style": image.style}
            line = {"id": name, "image": image.file, **source.extra, **told}
            lines.append(json.dumps(line, ensure_ascii=False).encode() + b"\n")
        return b"".join(lines)


FORMS: dict[str, Callable[[Datasets, str], Form]] = {
    "icdar": IcdarForm,
    "coco_text": CocoTextForm,
    "jsonl": JsonlForm,
}


def open_form(datasets: Datasets, url: str, name: str) -> Form:
    """The form of a data set: the one named, or for ``auto`` the one that the input's kind and name tell.

    Raises:
        InvalidParameter: ``auto``, and it is neither a folder nor a .json or .jsonl file.
        NotFound: There is no such input.
    """
    place = datasets.resolve(url, name=INPUT)
    if not place.filesystem.exists(place.path):
        raise NotFound(f"there is no folder or file {url!r}", field=INPUT)
    if name == "auto":
        suffix = posixpath.splitext(place.path)[1].lower()
        if place.filesystem.isdir(place.path):
            name = "icdar"
        elif suffix in (".json", ".jsonl"):
            name = "coco_text" if suffix == ".json" else "jsonl"
        else:
            raise InvalidParameter(
                f"the form of {url!r} cannot be told by its name; set format to one of {', '.join(FORMS)}",
                field="params.format",
            )
    return FORMS[name](datasets, place.url)


def _stays_inside(name: str) -> bool:
    """Whether a relative path leads to a place below where it starts."""
    return bool(name) and not name.startswith("/") and not posixpath.normpath(name).startswith("..")


def _coco_outline(word: dict[str, Any]) -> list[list[float]]:
    """Polygon of v2 (``mask``, flat or in a list) or box of v1, as points."""
    flat = word.get("mask") or word.get("polygon") or []
    if flat and isinstance(flat[0], list):
        flat = flat[0]
    if len(flat) >= 6:
        return [[float(x), float(y)] for x, y in zip(flat[::2], flat[1::2], strict=False)]
    if len(word.get("bbox") or ()) != 4:
        raise InvalidInput(f"annotation {word.get('id')} has neither bbox nor polygon")
    x, y, width, height = (float(value) for value in word["bbox"])
    return [[x, y], [x + width, y], [x + width, y + height], [x, y + height]]


def _coco_copies(content: dict[str, Any], written: Copies) -> Iterator[tuple[str, int, int, Written]]:
    """Each image of the output: id it came from, its own id, first id of its annotations.

    Originals keep their ids; variants get the next that are free.
    """
    image_id = max(map(int, content["imgs"]), default=0) + 1
    word_id = max(map(int, content["anns"]), default=0) + 1
    for source, images in written:
        for image in images:
            if image.number == 0:
                yield source, int(source), 0, image
                continue
            yield source, image_id, word_id, image
            image_id += 1
            word_id += len(content["imgToAnns"].get(source, ()))


def _coco_images(content: dict[str, Any], written: Copies) -> Iterator[tuple[str, Any]]:
    for source, image_id, _, image in _coco_copies(content, written):
        yield str(image_id), {**content["imgs"][source], "id": image_id, "file_name": image.file}


def _coco_annotations(content: dict[str, Any], written: Copies) -> Iterator[tuple[str, Any]]:
    for source, image_id, first, image in _coco_copies(content, written):
        for offset, word in enumerate(content["imgToAnns"].get(source, ())):
            word_id = first + offset if image.number else int(word)
            yield str(word_id), {**content["anns"][str(word)], "id": word_id, "image_id": image_id}


def _coco_index(content: dict[str, Any], written: Copies) -> Iterator[tuple[str, Any]]:
    for source, image_id, first, image in _coco_copies(content, written):
        if source in content["imgToAnns"]:
            words = content["imgToAnns"][source]
            ids = [first + offset if image.number else int(word) for offset, word in enumerate(words)]
            yield str(image_id), ids


def _json_object(pairs: Iterable[tuple[str, Any]]) -> Iterator[bytes]:
    yield b"{"
    for number, (key, value) in enumerate(pairs):
        yield f"{', ' if number else ''}{json.dumps(key)}: {json.dumps(value)}".encode()
    yield b"}"


def _parts(url: str) -> list[str]:
    """Parts of a path or URL, without the likes of ``..``."""
    match = _SCHEME.match(url)
    scheme = match.group(0) if match else ""
    return [scheme, *posixpath.normpath(url[len(scheme) :]).strip("/").split("/")]


def _folder_of_all(images: list[list[str]], own: list[str]) -> list[str]:
    """The list's own folder when all images are in it, else the lowest folder that holds them all."""
    if all(image[: len(own)] == own for image in images):
        return own
    shared = []
    for parts in zip(*(image[:-1] for image in images), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return shared


def _jsonl_polygons(item: ImageItem) -> Polygons:
    """Field ``polygons`` of a line: lists of ``[x, y]``."""
    try:
        return [[[float(x), float(y)] for x, y in polygon] for polygon in item.extra["polygons"]]
    except KeyError:
        raise InvalidInput('its line has no "polygons", which mode polygons needs') from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f'its "polygons" must be lists of [x, y]: {error}') from error
