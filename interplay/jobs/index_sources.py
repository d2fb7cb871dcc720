"""What an index can be built from: folders, JSONL, COCO captions, Parquet and WebDataset shards.

Every source is read twice: once when the job is planned, for ids and facts, and once by units, for the
images. An image is therefore named by where it is: a file, a stretch of a tar file, or a row of a Parquet
file.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from interplay.datasets import Datasets
from interplay.errors import InvalidParameter, NotFound, PayloadTooLarge
from interplay.settings import MAX_IMAGE_BYTES

_MAX_JSON_BYTES = 1024 * 1024 * 1024
_PICTURES = (".jpg", ".jpeg", ".png", ".webp")
# Columns that a Parquet file may have beside the image; all others are further facts.
_KNOWN = ("id", "caption", "tags", "latitude", "longitude", "place", "time", "uri")


@dataclass(frozen=True)
class IndexItem:
    """An image to index.

    Attributes:
        id: Unique in the data set.
        where: Where its bytes are, as JSON: ``{"file": url}``, ``{"tar": url, "at": byte, "size": bytes}`` or
            ``{"parquet": url, "group": number, "row": number, "column": name}``.
        facts: Caption, tags, place, time and whatever else is known.
    """

    id: str
    where: dict[str, Any]
    facts: dict[str, Any] = field(default_factory=dict)


def list_items(datasets: Datasets, url: str, form: str) -> Iterator[IndexItem]:
    """Images of a data set, in a fixed order.

    Args:
        datasets: The roots.
        url: The input.
        form: ``folder``, ``jsonl``, ``coco``, ``parquet`` or ``webdataset``; ``auto`` goes by the name.

    Raises:
        PermissionDenied, NotFound: The input is outside the roots, or not there.
        InvalidParameter: It is not of the form.
    """
    chosen = form if form != "auto" else _form_of(datasets, url)
    return _FORMS[chosen](datasets, url)


def read_image(datasets: Datasets, where: dict[str, Any]) -> bytes:
    """Bytes of an image.

    Raises:
        NotFound, PermissionDenied, PayloadTooLarge: As reading deserves.
    """
    if "file" in where:
        return datasets.read_bytes(where["file"], max_bytes=MAX_IMAGE_BYTES, name="image")
    if "tar" in where:
        if where["size"] > MAX_IMAGE_BYTES:
            raise PayloadTooLarge(f"the image has {where['size']:,} bytes; the limit is {MAX_IMAGE_BYTES:,}")
        with datasets.open(where["tar"], name="image") as stream:
            stream.seek(where["at"])
            return stream.read(where["size"])
    return _parquet_image(datasets, where)


def _form_of(datasets: Datasets, url: str) -> str:
    lower = url.lower()
    for suffix, form in (
        (".jsonl", "jsonl"),
        (".json", "coco"),
        (".parquet", "parquet"),
        (".tar", "webdataset"),
    ):
        if lower.endswith(suffix):
            return form
    place = datasets.resolve(url, name="params.input")
    if not place.filesystem.isdir(place.path):
        raise NotFound(f"there is no folder or file {url!r}", field="params.input")
    names = [relative.lower() for relative, _ in datasets.files(url, name="params.input")]
    for suffix, form in ((".parquet", "parquet"), (".tar", "webdataset")):
        if names and all(name.endswith(suffix) for name in names):
            return form
    return "folder"


def _folder_or_jsonl(datasets: Datasets, url: str) -> Iterator[IndexItem]:
    for item in datasets.images(url, name="params.input"):
        yield IndexItem(item.id, {"file": item.image}, item.extra)


def _coco(datasets: Datasets, url: str) -> Iterator[IndexItem]:
    """COCO's captions JSON; the images are beside it or in its folder ``images``."""
    content = _read_json(datasets, url)
    try:
        captions: dict[Any, list[str]] = {}
        for row in content.get("annotations", []):
            if "caption" in row:
                captions.setdefault(row["image_id"], []).append(str(row["caption"]).strip())
        images = [
            (str(row["id"]), str(row["file_name"]), captions.get(row["id"], [])) for row in content["images"]
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidParameter(
            f"{url!r} is not COCO's captions JSON: {error!r}", field="params.input"
        ) from error
    base = datasets.resolve(url, name="params.input").url.rpartition("/")[0]
    folder = base
    if images and datasets.size(f"{base}/{images[0][1]}") is None:
        folder = f"{base}/images"
    for name, file, texts in images:
        yield IndexItem(name, {"file": f"{folder}/{file}"}, {"caption": " ".join(texts)} if texts else {})


def _webdataset(datasets: Datasets, url: str) -> Iterator[IndexItem]:
    """Tar shards: members of one stem are one sample; its picture, and facts of its .txt and .json."""
    for shard in _shards(datasets, url, ".tar"):
        with datasets.open(shard, name="params.input") as stream:
            try:
                with tarfile.open(fileobj=stream, mode="r:") as archive:
                    yield from _tar_items(shard, archive)
            except tarfile.TarError as error:
                raise InvalidParameter(
                    f"{shard!r} is not a tar file: {error}", field="params.input"
                ) from error


def _tar_items(shard: str, archive: tarfile.TarFile) -> Iterator[IndexItem]:
    key = ""
    where: dict[str, Any] | None = None
    facts: dict[str, Any] = {}
    for member in archive:
        if not member.isfile():
            continue
        folder, slash, name = member.name.rpartition("/")
        stem, _, suffix = name.partition(".")
        stem = f"{folder}{slash}{stem}"
        if stem != key:
            if where is not None:
                yield IndexItem(key, where, facts)
            key, where, facts = stem, None, {}
        if f".{suffix.lower()}" in _PICTURES:
            where = {"tar": shard, "at": member.offset_data, "size": member.size}
        elif suffix in ("txt", "json"):
            reader = archive.extractfile(member)
            content = reader.read() if reader else b""
            facts |= _sidecar(shard, member.name, suffix, content)
    if where is not None:
        yield IndexItem(key, where, facts)


def _sidecar(shard: str, name: str, suffix: str, content: bytes) -> dict[str, Any]:
    try:
        if suffix == "txt":
            return {"caption": content.decode().strip()}
        found = json.loads(content)
        if not isinstance(found, dict):
            raise ValueError("not an object")
    except ValueError as error:
        raise InvalidParameter(
            f"{name!r} in {shard!r} cannot be read: {error}", field="params.input"
        ) from error
    return found


def _parquet(datasets: Datasets, url: str) -> Iterator[IndexItem]:
    """Parquet files: a column ``image`` with paths, bytes, or {bytes, path}; other columns are facts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for file in _shards(datasets, url, ".parquet"):
        folder = datasets.resolve(file, name="params.input").url.rpartition("/")[0]
        with datasets.open(file, name="params.input") as stream:
            try:
                table = pq.ParquetFile(stream)
            except pa.ArrowInvalid as error:
                raise InvalidParameter(
                    f"{file!r} is not a Parquet file: {error}", field="params.input"
                ) from error
            names = table.schema_arrow.names
            if "image" not in names:
                raise InvalidParameter(
                    f"{file!r} has no column 'image'; it has {', '.join(names)}", field="params.input"
                )
            paths = pa.types.is_string(table.schema_arrow.field("image").type)
            facts = [name for name in names if name != "image"]
            stem = file.rpartition("/")[2].rpartition(".")[0]
            for group in range(table.num_row_groups):
                rows = table.read_row_group(
                    group, columns=[*facts, *(["image"] if paths else [])]
                ).to_pylist()
                count = table.metadata.row_group(group).num_rows
                for row in range(count):
                    found = {
                        key: value for key, value in (rows[row] if rows else {}).items() if value is not None
                    }
                    where = {"parquet": file, "group": group, "row": row}
                    if paths:
                        image = found.pop("image", "")
                        where = {"file": image if _absolute(image) else f"{folder}/{image}"}
                    yield IndexItem(str(found.pop("id", f"{stem}-{group}-{row}")), where, found)


def _parquet_image(datasets: Datasets, where: dict[str, Any]) -> bytes:
    import pyarrow.parquet as pq

    with datasets.open(where["parquet"], name="image") as stream:
        column = pq.ParquetFile(stream).read_row_group(where["group"], columns=["image"])["image"]
        value = column[where["row"]].as_py()
    content = value.get("bytes") if isinstance(value, dict) else value
    if not isinstance(content, bytes):
        raise NotFound(f"row {where['row']} of {where['parquet']!r} holds no image")
    if len(content) > MAX_IMAGE_BYTES:
        raise PayloadTooLarge(f"the image has {len(content):,} bytes; the limit is {MAX_IMAGE_BYTES:,}")
    return content


def _shards(datasets: Datasets, url: str, suffix: str) -> list[str]:
    place = datasets.resolve(url, name="params.input")
    if place.filesystem.isfile(place.path):
        return [place.url]
    if not place.filesystem.isdir(place.path):
        raise NotFound(f"there is no folder or file {url!r}", field="params.input")
    found = [file for name, file in datasets.files(place.url) if name.lower().endswith(suffix)]
    if not found:
        raise InvalidParameter(f"there are no {suffix} files in {url!r}", field="params.input")
    return found


def _read_json(datasets: Datasets, url: str) -> dict[str, Any]:
    content = datasets.read_bytes(url, max_bytes=_MAX_JSON_BYTES, name="params.input")
    try:
        found = json.loads(content)
    except ValueError as error:
        raise InvalidParameter(f"{url!r} is not JSON: {error}", field="params.input") from error
    if not isinstance(found, dict):
        raise InvalidParameter(f"{url!r} is not a JSON object", field="params.input")
    return found


def _absolute(path: str) -> bool:
    return path.startswith("/") or "://" in path


_FORMS: dict[str, Callable[[Datasets, str], Iterator[IndexItem]]] = {
    "folder": _folder_or_jsonl,
    "jsonl": _folder_or_jsonl,
    "coco": _coco,
    "parquet": _parquet,
    "webdataset": _webdataset,
}
