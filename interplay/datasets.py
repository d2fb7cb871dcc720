"""Data sets inside configured roots, read and written through fsspec.

A root is a folder or an fsspec URL (``s3://bucket/sets``, ``memory://sets``). Every path that comes
from outside, also those inside JSONL files, is resolved here, and a path that leads out of all
roots is refused: by ``..``, by a symbolic link, by another scheme or by an absolute path.
"""

from __future__ import annotations

import errno
import json
import os
import posixpath
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import fsspec

from interplay.errors import InvalidParameter, NotFound, PayloadTooLarge, PermissionDenied, UnsupportedMedia
from interplay.media.images import sniff

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp")
_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL = ("file", "local")
_SNIFFED_BYTES = 16
_PATH_ERRORS = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)


@dataclass(frozen=True)
class Location:
    """A place inside a root.

    Attributes:
        filesystem: fsspec file system.
        path: Path in that file system's own spelling.
        url: The same, for people and for JSONL files; resolves to this place again.
    """

    filesystem: Any
    path: str
    url: str


@dataclass(frozen=True)
class ImageItem:
    """One image of a data set.

    Attributes:
        id: Unique in the data set: the relative path, or the JSONL line's ``id``.
        image: Path or URL.
        extra: The JSONL line's other fields.
    """

    id: str
    image: str
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Root:
    scheme: str
    filesystem: Any
    path: str

    def holds(self, path: str) -> bool:
        return path == self.path or path.startswith(self.path.rstrip("/") + "/")

    def url(self, path: str) -> str:
        return path if self.scheme == "file" else f"{self.scheme}://{path.lstrip('/')}"


class Datasets:
    """Reads and writes inside the roots and nowhere else.

    Args:
        roots: Folders or fsspec URLs. Credentials of remote ones come from their own environment.
    """

    def __init__(self, roots: Sequence[str]) -> None:
        self._roots = tuple(_make_root(root) for root in roots)

    def resolve(self, url: str, *, base: str | None = None, name: str = "path") -> Location:
        """The place that a path or URL means.

        Args:
            url: Absolute path, URL, or path relative to ``base``.
            base: Folder in which relative paths start; the first root by default.
            name: Field for the error message.

        Raises:
            PermissionDenied: It is outside every root; the message names the rule.
        """
        if not self._roots:
            raise PermissionDenied(
                "no data set roots are configured, so no path is allowed; set INTERPLAY_DATASET_ROOTS",
                field=name,
            )
        if not url or not _is_plain(url):
            raise PermissionDenied(f"{name} is empty or holds characters that no path has", field=name)
        if "::" in url:
            raise PermissionDenied(
                f"{name} chains file systems with '::', which is not allowed: {url!r}", field=name
            )
        match = _SCHEME.match(url)
        if not match and not url.startswith("/"):
            base = base if base is not None else self._roots[0].url(self._roots[0].path)
            url = f"{base.rstrip('/')}/{url}"
            match = _SCHEME.match(url)
        scheme = match.group(1).lower() if match else "file"
        scheme = "file" if scheme in _LOCAL else scheme
        rest = url[match.end() :] if match else url
        if scheme == "file":
            return self._resolve_local(rest, url, name)
        return self._resolve_remote(scheme, rest, url, name)

    def _resolve_local(self, path: str, url: str, name: str) -> Location:
        # realpath follows symbolic links, so one that leads out of a root does not count as inside.
        real = os.path.realpath(path if path.startswith("/") else f"/{path}")
        for root in self._roots:
            if root.scheme == "file" and root.holds(real):
                return Location(root.filesystem, real, real)
        raise self._outside(url, name, "'..' and symbolic links are followed first")

    def _resolve_remote(self, scheme: str, rest: str, url: str, name: str) -> Location:
        schemes = {root.scheme for root in self._roots}
        if scheme not in schemes:
            raise self._outside(url, name, f"the scheme {scheme!r} is not that of any root")
        if ".." in rest.split("/"):
            raise self._outside(url, name, "'..' is not allowed in URLs")
        for root in self._roots:
            if root.scheme == scheme:
                path = posixpath.normpath(root.filesystem._strip_protocol(f"{scheme}://{rest}"))
                if root.holds(path):
                    return Location(root.filesystem, path, root.url(path))
        raise self._outside(url, name, "it starts with none of them")

    def _outside(self, url: str, name: str, why: str) -> PermissionDenied:
        roots = ", ".join(root.url(root.path) for root in self._roots)
        return PermissionDenied(f"{name} {url!r} is outside the data set roots ({roots}): {why}", field=name)

    def read_bytes(self, url: str, *, max_bytes: int, name: str = "path") -> bytes:
        """Content of a file.

        Raises:
            PermissionDenied: Outside the roots.
            NotFound: Not there, or a folder.
            PayloadTooLarge: More than ``max_bytes``; no more than that is read.
        """
        with self.open(url, name=name) as stream:
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            raise PayloadTooLarge(f"{url!r} has more than {max_bytes:,} bytes", field=name)
        return content

    @contextmanager
    def open(self, url: str, *, name: str = "path") -> Iterator[BinaryIO]:
        """Open a file for reading.

        Raises:
            PermissionDenied: Outside the roots, or the system does not let us.
            NotFound: Not there, or a folder.
        """
        place = self.resolve(url, name=name)
        try:
            stream = place.filesystem.open(place.path, "rb")
        except PermissionError as error:
            raise PermissionDenied(f"the system does not let us read {url!r}", field=name) from error
        except OSError as error:
            if isinstance(error, FileNotFoundError) or error.errno in _PATH_ERRORS:
                raise NotFound(f"there is no file {url!r}", field=name) from error
            raise
        with stream:
            yield stream

    def make_folder(self, url: str, *, name: str = "path") -> Location:
        """Make a folder, with those above it, if it is not there.

        Raises:
            PermissionDenied: Outside the roots, or the system does not let us.
            InvalidParameter: A file is in the way, or the name is too long.
        """
        place = self.resolve(url, name=name)
        with _explained(url, name):
            place.filesystem.makedirs(place.path, exist_ok=True)
        return place

    @contextmanager
    def write(self, url: str, *, name: str = "path") -> Iterator[BinaryIO]:
        """Write a file that appears whole or not at all, replacing an older one; folders are made.

        Raises:
            PermissionDenied: Outside the roots, or the system does not let us.
            InvalidParameter: A folder is in the way, or the name is too long.
        """
        place = self.resolve(url, name=name)
        folder, _, file = place.path.rpartition("/")
        scratch = f"{folder}/.{file}.{uuid.uuid4().hex[:8]}.part"
        with _explained(url, name):
            place.filesystem.makedirs(folder, exist_ok=True)
            try:
                with place.filesystem.open(scratch, "wb") as stream:
                    yield stream
                place.filesystem.mv(scratch, place.path)
            except BaseException:
                if place.filesystem.exists(scratch):
                    place.filesystem.rm(scratch)
                raise

    def size(self, url: str) -> int | None:
        """Bytes of a file; None when there is none.

        Raises:
            PermissionDenied: Outside the roots.
        """
        place = self.resolve(url)
        if not place.filesystem.isfile(place.path):
            return None
        return int(place.filesystem.size(place.path))

    def images(self, url: str, *, name: str = "input") -> Iterator[ImageItem]:
        """Images of a data set, in a fixed order.

        A folder gives its images at any depth, known by their extension or else by their first
        bytes; links that lead out of the roots, and hidden files, are passed over. A JSONL file
        gives one for each line: ``{"image": path, "id": …, …}``, with paths relative to the file.

        Raises:
            PermissionDenied: ``url`` is outside the roots.
            NotFound: ``url`` is not there.
            InvalidParameter: A line of the JSONL file is not of that form, or an id comes twice.
        """
        place = self.resolve(url, name=name)
        if place.filesystem.isdir(place.path):
            return self._folder_images(place)
        if place.filesystem.isfile(place.path):
            return self._jsonl_images(place, name)
        raise NotFound(f"there is no folder or file {url!r}", field=name)

    def files(self, folder: str, *, name: str = "input") -> Iterator[tuple[str, str]]:
        """Relative path and URL of each file in a folder, at any depth, in a fixed order; no hidden ones.

        Raises:
            PermissionDenied: ``folder`` is outside the roots.
        """
        place = self.resolve(folder, name=name)
        prefix = place.path.rstrip("/") + "/"
        for found in sorted(place.filesystem.find(place.path)):
            path = found if found.startswith("/") or not prefix.startswith("/") else f"/{found}"
            relative = path.removeprefix(prefix)
            if not any(part.startswith(".") for part in relative.split("/")):
                yield relative, f"{place.url.rstrip('/')}/{relative}"

    def _folder_images(self, folder: Location) -> Iterator[ImageItem]:
        for relative, image in self.files(folder.url):
            if self._is_image(image):
                yield ImageItem(relative, image)

    def _is_image(self, url: str) -> bool:
        try:
            self.resolve(url)
            if url.lower().endswith(IMAGE_EXTENSIONS):
                return True
            with self.open(url) as stream:
                sniff(stream.read(_SNIFFED_BYTES))
        except (UnsupportedMedia, PermissionDenied, NotFound):
            return False
        return True

    def _jsonl_images(self, file: Location, name: str) -> Iterator[ImageItem]:
        folder = file.url.rpartition("/")[0]
        first_line: dict[str, int] = {}
        with self.open(file.url, name=name) as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                item = _parse_line(line, number, folder, name)
                if item.id in first_line:
                    raise InvalidParameter(
                        f"line {number} of {file.url!r} has the id {item.id!r} of line {first_line[item.id]}",
                        field=name,
                    )
                first_line[item.id] = number
                yield item


@contextmanager
def _explained(url: str, name: str) -> Iterator[None]:
    """Turn what the system says of a path into an error for the client."""
    try:
        yield
    except PermissionError as error:
        raise PermissionDenied(f"the system does not let us write {url!r}", field=name) from error
    except OSError as error:
        if error.errno not in _PATH_ERRORS:
            raise
        raise InvalidParameter(f"{url!r} cannot be written: {error.strerror}", field=name) from error


def _is_plain(url: str) -> bool:
    try:
        url.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return "\0" not in url


def _make_root(root: str) -> _Root:
    match = _SCHEME.match(root)
    scheme = match.group(1).lower() if match else "file"
    if scheme in _LOCAL or scheme == "file":
        path = root[match.end() :] if match else root
        return _Root("file", fsspec.filesystem("file"), os.path.realpath(os.path.expanduser(path)))
    # Without the cache of listings: a worker lives for weeks, and the files come and go meanwhile.
    filesystem = fsspec.filesystem(scheme, use_listings_cache=False)
    return _Root(scheme, filesystem, posixpath.normpath(filesystem._strip_protocol(root)))


def _parse_line(line: bytes, number: int, folder: str, name: str) -> ImageItem:
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise InvalidParameter(f"line {number} is not JSON: {error}", field=name) from error
    if not isinstance(fields, dict) or not isinstance(fields.get("image"), str) or not fields["image"]:
        raise InvalidParameter(f'line {number} must be an object with a path in "image"', field=name)
    image = fields.pop("image")
    identifier = fields.pop("id", image)
    if not isinstance(identifier, str | int):
        raise InvalidParameter(f'line {number}: "id" must be a string or a whole number', field=name)
    absolute = image if image.startswith("/") or _SCHEME.match(image) else f"{folder}/{image}"
    return ImageItem(str(identifier), absolute, fields)
