"""Readers of images with captions: folders, filelists, JSON, CSV, JSONL and shards.

    InstaCities1M   img_resized_1M/cities_instagram/CITY/ID.jpg, captions_resized_1M/…/CITY/ID.txt, or
                    the released layout with train, val and test folders
    WebVision       info/train_filelist_{google,flickr}.txt and info/train_meta_list_{google,flickr}.txt,
                    which point to rows of JSON lists
    COCO captions   annotations/captions_*.json and a folder of images
    CSV, JSONL      a column each for image and caption
    WebDataset      tar shards with members KEY.jpg and KEY.txt or KEY.json

Every reader yields `CaptionedImage`; `unique` drops images that come twice.
"""

import csv
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec


@dataclass(frozen=True)
class CaptionedImage:
    """An image and what is said of it.

    Attributes:
        id: unique within its set.
        image: path of the file, or its bytes where it comes out of a shard.
        captions: one or several texts, as written.
        tags: further labels that the set has, e.g. the city.
    """

    id: str
    image: Path | bytes
    captions: tuple[str, ...]
    tags: tuple[str, ...] = ()

    def content(self) -> bytes:
        """The encoded image."""
        return self.image if isinstance(self.image, bytes) else self.image.read_bytes()


def read_instacities(root: Path, part: str | None = None) -> Iterator[CaptionedImage]:
    """InstaCities1M in either layout; the city is the tag.

    Args:
        root: folder with `img_resized_1M` and `captions_resized_1M`.
        part: "train", "val" or "test" where the layout has such folders; None reads all.

    Raises:
        FileNotFoundError: the layout is neither.
    """
    images, captions = root / "img_resized_1M", root / "captions_resized_1M"
    if not images.is_dir() or not captions.is_dir():
        raise FileNotFoundError(f"{root} has no img_resized_1M and captions_resized_1M")
    for image in sorted(images.rglob("*.jpg")):
        relative = image.relative_to(images)
        if part is not None and part not in relative.parts:
            continue
        text = captions / relative.with_suffix(".txt")
        if text.is_file():
            caption = text.read_text(encoding="utf-8", errors="replace").strip()
            yield CaptionedImage(str(relative.with_suffix("")), image, (caption,), (image.parent.name,))


def read_webvision(root: Path, source: str, part: str = "train") -> Iterator[CaptionedImage]:
    """WebVision: description, title and tags are the caption (thesis 4.3.2); the class is the tag.

    Args:
        root: folder with `info` and the folders of images and metadata.
        source: "google" or "flickr".
        part: "train", "val" or "test".

    Raises:
        FileNotFoundError: a list is missing.
        ValueError: the two lists have different lengths.
    """
    files = (root / "info" / f"{part}_filelist_{source}.txt").read_text().splitlines()
    rows = (root / "info" / f"{part}_meta_list_{source}.txt").read_text().splitlines()
    if len(files) != len(rows):
        raise ValueError(f"{root}/info: {len(files)} files and {len(rows)} rows of metadata")
    opened: tuple[str, list[dict[str, Any]]] = "", []
    for line, row in zip(files, rows, strict=True):
        path, label = line.rsplit(" ", 1)
        name, number = row.rsplit(" ", 1)
        if opened[0] != name:
            opened = name, json.loads((root / name).read_text(encoding="utf-8"))
        facts = opened[1][int(number) - 1]
        parts = [facts.get("description", ""), facts.get("title", ""), " ".join(facts.get("tags", []))]
        caption = " ".join(part for part in parts if part)
        yield CaptionedImage(path, root / path, (caption,), (label,))


def read_coco_captions(annotations: Path, images: Path) -> Iterator[CaptionedImage]:
    """COCO's captions JSON: all captions of each image."""
    content = json.loads(annotations.read_text(encoding="utf-8"))
    by_image: dict[int, list[str]] = {}
    for row in content["annotations"]:
        by_image.setdefault(row["image_id"], []).append(row["caption"].strip())
    for row in content["images"]:
        if captions := by_image.get(row["id"]):
            yield CaptionedImage(str(row["id"]), images / row["file_name"], tuple(captions))


def read_csv(
    file: Path, images: Path, *, image: str = "image", caption: str = "caption", escape: str | None = None
) -> Iterator[CaptionedImage]:
    """A CSV with a header; rows of the same image in sequence are one image with several captions.

    Args:
        file: the CSV.
        images: folder of the images.
        image: column with the file name.
        caption: column with the text.
        escape: character that makes the next one a part of the field.

    Raises:
        ValueError: a column is missing.
    """
    with file.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream, escapechar=escape, doublequote=escape is None)
        missing = {image, caption} - set(reader.fieldnames or ())
        if missing:
            raise ValueError(f"{file} has no column {', '.join(sorted(missing))}; it has {reader.fieldnames}")
        name, captions = "", []
        for row in reader:
            if row[image] != name:
                if captions:
                    yield CaptionedImage(name, images / name, tuple(captions))
                name, captions = row[image], []
            captions.append(row[caption].strip())
        if captions:
            yield CaptionedImage(name, images / name, tuple(captions))


def read_jsonl(
    file: Path, images: Path, *, image: str = "image", caption: str = "caption"
) -> Iterator[CaptionedImage]:
    """JSON lines; the caption is a text or a list of texts.

    Raises:
        ValueError: a line lacks a field.
    """
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        row = json.loads(line)
        if image not in row or caption not in row:
            raise ValueError(f"{file}, line {number}: fields {image!r} and {caption!r} are required")
        texts = [row[caption]] if isinstance(row[caption], str) else row[caption]
        yield CaptionedImage(row[image], images / row[image], tuple(text.strip() for text in texts))


def read_webdataset(shards: str | list[str]) -> Iterator[CaptionedImage]:
    """WebDataset shards: `KEY.jpg` (or png, webp) and `KEY.txt`, or a `caption` in `KEY.json`.

    Args:
        shards: fsspec URLs of tar files, or one pattern (`folder/{00..09}.tar`, `folder/*.tar`).
    """
    import webdataset

    urls = [shards] if isinstance(shards, str) else shards
    files = [file for url in urls for file in _expanded(url)]
    for file in files:
        with fsspec.open(file, "rb") as stream:
            for sample in webdataset.tariterators.group_by_keys(
                webdataset.tariterators.tar_file_expander([{"url": file, "stream": stream}])
            ):
                picture = next(
                    (sample[kind] for kind in ("jpg", "jpeg", "png", "webp") if kind in sample), None
                )
                if picture is None:
                    continue
                facts = json.loads(sample["json"]) if "json" in sample else {}
                text = sample["txt"].decode("utf-8") if "txt" in sample else facts.get("caption", "")
                yield CaptionedImage(sample["__key__"], picture, (text.strip(),))


def unique(items: Iterable[CaptionedImage]) -> Iterator[CaptionedImage]:
    """Drops images whose bytes came before.

    The thesis's set was cleaned by equal size in pixels and bytes; among tens of thousands of photos
    different ones share both, so the bytes themselves are compared here (by digest).
    """
    seen: set[bytes] = set()
    for item in items:
        digest = hashlib.sha256(item.content()).digest()
        if digest not in seen:
            seen.add(digest)
            yield item


def _expanded(url: str) -> list[str]:
    import braceexpand

    files = []
    for one in braceexpand.braceexpand(url):
        if "*" in one:
            found = fsspec.open_files(one, "rb")
            files += [file.fs.unstrip_protocol(file.path) for file in found]
        else:
            files.append(one)
    return files
