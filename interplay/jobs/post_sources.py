"""Posts of a data set: lines of a JSONL file, or the images of a folder.

Jobs keep what is planned in their table, and texts have no business there: a post is named by where it is,
a stretch of the file, and read again when it is its turn.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from interplay.datasets import Datasets
from interplay.errors import InterplayError, InvalidParameter, NotFound

MAX_LINE_BYTES = 1024 * 1024

# Where a post is: {"at": byte, "size": bytes} in the JSONL file, or {"image": url}.
Where = dict[str, Any]


@dataclass(frozen=True)
class PostFields:
    """Which fields of a line hold what.

    Attributes:
        id: Unique name; the number of the line where there is none.
        text: What the author wrote.
        image: Path of the image.
        image_text: The words in the image.
        label: Whether people called it hate; None for no such field.
    """

    id: str
    text: str
    image: str
    image_text: str
    label: str | None = None


@dataclass(frozen=True)
class SourcePost:
    """A post as it was read.

    Attributes:
        text: "" for none.
        image_text: None where the set does not say.
        image: Path or URL; None for none.
        label: Whether people called it hate; None where the set does not say.
    """

    text: str = ""
    image_text: str | None = None
    image: str | None = None
    label: bool | None = None


class PostSource:
    """The posts of one data set.

    Args:
        datasets: The roots.
        url: JSONL file, or folder of images.
        fields: Of the lines.
        images: Folder in which relative paths of images start; that of the JSONL file if None.
    """

    def __init__(self, datasets: Datasets, url: str, fields: PostFields, images: str | None) -> None:
        self._datasets, self._url, self._fields, self._images = datasets, url, fields, images

    def posts(self) -> Iterator[tuple[str, Where]]:
        """Id and place of each post, in order.

        Raises:
            PermissionDenied, NotFound: The input is outside the roots, or not there.
            InvalidParameter: A line is no JSON object, or an id comes twice.
        """
        place = self._datasets.resolve(self._url, name="params.input")
        if place.filesystem.isdir(place.path):
            for item in self._datasets.images(self._url, name="params.input"):
                yield item.id, {"image": item.image}
        elif place.filesystem.isfile(place.path):
            yield from self._lines()
        else:
            raise NotFound(f"there is no folder or file {self._url!r}", field="params.input")

    def _lines(self) -> Iterator[tuple[str, Where]]:
        at = 0
        first_line: dict[str, int] = {}
        with self._datasets.open(self._url, name="params.input") as stream:
            for number, line in enumerate(stream, 1):
                size = len(line)
                if line.strip():
                    if size > MAX_LINE_BYTES:
                        raise InvalidParameter(
                            f"line {number} has {size:,} bytes; the limit is {MAX_LINE_BYTES:,}",
                            field="params.input",
                        )
                    identifier = self._identifier(line, number)
                    if identifier in first_line:
                        raise InvalidParameter(
                            f"line {number} has the id {identifier[:100]!r} of line {first_line[identifier]}",
                            field="params.input",
                        )
                    first_line[identifier] = number
                    yield identifier, {"at": at, "size": size}
                at += size

    def _identifier(self, line: bytes, number: int) -> str:
        try:
            fields = _parse(line)
        except ValueError as error:
            raise InvalidParameter(f"line {number} {error}", field="params.input") from None
        found = fields.get(self._fields.id)
        if found is None:
            return f"line {number}"
        if not isinstance(found, str | int) or not 1 <= len(str(found)) <= 512:
            raise InvalidParameter(
                f"line {number}: {self._fields.id!r} must be 1 to 512 characters or a whole number",
                field="params.input",
            )
        return str(found)

    def read(self, places: Sequence[Where]) -> list[SourcePost | InterplayError]:
        """The posts at some places, or what is wrong with each."""
        if places and "image" in places[0]:
            return [SourcePost(image=place["image"]) for place in places]
        with self._datasets.open(self._url, name="params.input") as stream:
            lines = []
            for place in places:
                stream.seek(place["at"])
                lines.append(stream.read(place["size"]))
        return [self._post(line) for line in lines]

    def _post(self, line: bytes) -> SourcePost | InterplayError:
        names = self._fields
        try:
            fields = _parse(line)
        except ValueError:
            return InvalidParameter("the file was changed while the job ran", field="params.input")
        for name in (names.text, names.image_text, names.image):
            if not isinstance(fields.get(name), str | None):
                return InvalidParameter(f"{name!r} must be a string", field=name)
        image = fields.get(names.image) or None
        if image is not None and not (image.startswith("/") or "://" in image):
            folder = self._images or self._datasets.resolve(self._url).url.rpartition("/")[0]
            image = f"{folder.rstrip('/')}/{image}"
        return SourcePost(
            text=fields.get(names.text) or "",
            image_text=fields.get(names.image_text),
            image=image,
            label=_label(fields.get(names.label)) if names.label else None,
        )


def _parse(line: bytes) -> dict[str, Any]:
    """A line's object; the message of the error quotes nothing of it."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        raise ValueError("is not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("is not a JSON object")
    return fields


def _label(value: Any) -> bool | None:
    """Whether people called a post hate: true or false, 1 or 0, "hate" or "not_hate"."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return {"hate": True, "not_hate": False}.get(value) if isinstance(value, str) else None
