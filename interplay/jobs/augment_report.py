"""What ``augment_dataset`` tells of its work: counts, warnings, and a contact sheet of examples."""

from __future__ import annotations

import hashlib
import heapq
import posixpath
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from interplay.datasets import Datasets
from interplay.errors import InterplayError
from interplay.jobs.augment_icdar import DONT_CARE
from interplay.jobs.augment_sources import Source
from interplay.media.draw import contact_sheet
from interplay.media.images import decode, encode_jpeg
from interplay.settings import MAX_IMAGE_BYTES
from interplay.types import Image

_THUMBNAIL_SIDE_PX = 320


@dataclass(frozen=True)
class _Example:
    source: Source
    images: list[dict[str, Any]]


class Report:
    """Counts outcomes as they are added.

    Args:
        examples: Images to show; drawn by their names, so always the same ones.

    Attributes:
        seconds: The server's time.
    """

    def __init__(self, examples: int) -> None:
        self.seconds = 0.0
        self._examples = examples
        self._counts: Counter[str] = Counter()
        self._styles: Counter[str] = Counter()
        self._models: set[tuple[str, str, str]] = set()
        self._chosen: list[tuple[float, int, _Example]] = []

    def add(self, source: Source, outcome: dict[str, Any]) -> None:
        """Count one image's outcome."""
        counts = self._counts
        counts["images"] += 1
        if "error" in outcome:
            counts["failed"] += 1
            return
        self.seconds += outcome["seconds"]
        variants = [image for image in outcome["images"] if image["number"]]
        counts["originals"] += len(outcome["images"]) - len(variants)
        counts["variants"] += len(variants)
        counts["without_words"] += not variants
        counts["unchanged"] += sum(image["styled_ratio"] == 0 for image in variants)
        counts["turned"] += "turned" in outcome
        for image in variants:
            self._styles[image["style"]] += 1
            for name in ("model", "detector"):
                if name in image:
                    self._models.add(tuple(image[name].values()))
        if words := outcome.get("words"):
            counts["annotated"] += 1
            counts["illegible"] += words["all"] > 0 and words["legible"] == 0
            counts["odd_files"] += words["fault"] is not None
        if variants:
            self._choose(source, variants)

    def _choose(self, source: Source, variants: list[dict[str, Any]]) -> None:
        """Keep the examples whose names have the smallest digests."""
        rank = int.from_bytes(hashlib.sha256(source.id.encode()).digest()[:6])
        heapq.heappush(self._chosen, (-rank, -self._counts["images"], _Example(source, variants)))
        if len(self._chosen) > self._examples:
            heapq.heappop(self._chosen)

    def summary(self) -> dict[str, Any]:
        """Counts and warnings; the same for the same data, whoever did the work and how long it took."""
        counts = self._counts
        return {
            "images": counts["images"],
            "originals": counts["originals"],
            "variants": counts["variants"],
            "failed": counts["failed"],
            "styles": dict(sorted(self._styles.items())),
            "models": [" ".join(model) for model in sorted(self._models)],
            "warnings": list(self._warnings()),
        }

    def _warnings(self) -> Iterator[str]:
        counts = self._counts
        if counts["failed"] == counts["images"]:
            yield "no image could be restyled: failed.jsonl has the reasons"
        if counts["illegible"] and counts["illegible"] == counts["annotated"]:
            yield f"every word of every image is {DONT_CARE!r}: such a set trains nothing"
        elif counts["illegible"]:
            yield (
                f"all words of {counts['illegible']} of {counts['annotated']} images are {DONT_CARE!r}: "
                "these images train nothing"
            )
        if counts["odd_files"]:
            yield f"{counts['odd_files']} annotation files, copied as they are, have lines of another form"
        if counts["without_words"]:
            yield f"{counts['without_words']} images have no annotated words and so no variants"
        if counts["unchanged"]:
            yield f"{counts['unchanged']} of {counts['variants']} variants are unchanged: no text was found"
        if counts["turned"]:
            yield (
                f"variants of {counts['turned']} images are stored upright, as their EXIF orientation says: "
                "see whether the annotations are meant for that"
            )
        names = Counter(name for name, _, _ in self._models)
        for name in sorted(name for name, versions in names.items() if versions > 1):
            yield f"model {name} was replaced while the job ran: manifest.jsonl tells which image is of which"

    def sheet(self, datasets: Datasets, folder: str) -> bytes | None:
        """A row for each example: the original, then its variants with their styles; None without any."""
        images: list[Image] = []
        captions: list[str] = []
        columns = 1 + max((len(example.images) for _, _, example in self._chosen), default=0)
        for _, _, example in sorted(self._chosen, key=lambda chosen: -chosen[1]):
            urls = [example.source.image, *(posixpath.join(folder, i["file"]) for i in example.images)]
            try:
                row = [_thumbnail(datasets.read_bytes(url, max_bytes=2 * MAX_IMAGE_BYTES)) for url in urls]
            except InterplayError:
                continue  # it was there a moment ago; a sheet without it is still of use
            images += row
            captions += [posixpath.basename(example.source.file), *(i["style"] for i in example.images)]
        return encode_jpeg(contact_sheet(images, captions, columns)) if images else None


def _thumbnail(content: bytes) -> Image:
    small = PillowImage.fromarray(decode(content))
    small.thumbnail((_THUMBNAIL_SIDE_PX, _THUMBNAIL_SIDE_PX))
    return np.asarray(small)
