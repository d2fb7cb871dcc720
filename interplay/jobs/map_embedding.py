"""Job kind ``map_embedding``: images and words on one map, near where they mean the same (thesis, Fig. 4.12).

All vectors, those of images and those of words, go through t-SNE at once. Pictures that would share
a pixel with one already there are left out; words come first. So what is seen around a word are the
nearest of the pictures that are shown, not the best hits of a search.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageOps
from pydantic import Field, StringConstraints, field_validator

from interplay.errors import InterplayError, InvalidParameter
from interplay.jobs.image_set import Found, ImageSetParams, ImageSetWork, SeenImage, unpack
from interplay.jobs.index_sources import read_image
from interplay.jobs.map_layout import Box, centre, place, project
from interplay.jobs.work import JobContext, JobKind
from interplay.media.draw import word_plate
from interplay.media.images import decode, encode_jpeg

Word = Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]

_GROUND = (255, 255, 255)


class MapEmbedding(ImageSetParams):
    """Parameters of ``map_embedding``."""

    words: list[Word] = Field([], max_length=200, description="Words or phrases to show among the images.")
    canvas_px: int = Field(3000, ge=400, le=8000, description="Width and height of the map.")
    thumbnail_px: int = Field(75, ge=16, le=400, description="Side of an image on it; images are cut square.")
    perplexity: float = Field(30.0, ge=2, le=200, description="t-SNE: neighbours of a vector, about.")

    @field_validator("words")
    @classmethod
    def _each_once(cls, words: list[str]) -> list[str]:
        if len(set(words)) < len(words):
            twice = next(word for word in words if words.count(word) > 1)
            raise ValueError(f"the word {twice!r} is there more than once")
        return words


class MapEmbeddingWork(ImageSetWork):
    """One attempt at the job, or a helper's part in one."""

    picture = "map.jpg"
    least = 1

    def __init__(self, params: MapEmbedding, context: JobContext) -> None:
        super().__init__(params, context)
        self._params = params

    def check(self) -> None:
        """Each word means something to the model.

        Raises:
            InvalidParameter: One does not.
        """
        if not self._params.words:
            return
        vectors, _ = self.embed_texts(self._params.words)
        nothing = [w for w, v in zip(self._params.words, vectors, strict=True) if not v.any()]
        if nothing:
            raise InvalidParameter(
                f"the model knows nothing of {', '.join(map(repr, nothing))}", field="params.words"
            )

    def look(self, images: Sequence[SeenImage]) -> list[dict[str, Any] | InterplayError]:
        """The vectors of images."""
        return [v if isinstance(v, InterplayError) else {"vector": v} for v in self.embed_images(images)]

    def report(self, found: list[Found]) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
        """The map, and where everything is on it."""
        params, words = self._params, self._params.words
        # In an order that has nothing to do with the set's, so that no part of it is favoured.
        random.Random(params.seed).shuffle(found)
        images = unpack(one.answer["vector"] for one in found)
        vectors = [images] if not words else [self.embed_texts(words)[0], images]
        vectors = [centre(kind) for kind in vectors]
        points = project(np.concatenate(vectors), seed=params.seed, perplexity=params.perplexity)
        plates = [word_plate(word, params.thumbnail_px) for word in words]
        sizes = [(plate.shape[1], plate.shape[0]) for plate in plates]
        sizes += [(params.thumbnail_px, params.thumbnail_px)] * len(found)
        boxes = place(points, sizes, (params.canvas_px, params.canvas_px))
        canvas = PillowImage.new("RGB", (params.canvas_px, params.canvas_px), _GROUND)
        for plate, box in zip(plates, boxes, strict=False):
            if box is not None:
                canvas.paste(PillowImage.fromarray(plate), (box.left, box.top))
        rest = boxes[len(words) :]
        for number, (one, box) in enumerate(zip(found, rest, strict=True)):
            if box is not None and not self._paste(canvas, one, box):
                rest[number] = None
        shown = [box is not None for box in (*boxes[: len(words)], *rest)]
        summary = {
            "shown": sum(shown[len(words) :]),
            "omitted": len(found) - sum(shown[len(words) :]),
            "words_shown": sum(shown[: len(words)]),
            "words_omitted": [word for word, there in zip(words, shown, strict=False) if not there],
        }
        names = [("word", word) for word in words] + [("image", one.item.id) for one in found]
        entries = [
            {
                kind: name,
                "x": round(float(x), 4),
                "y": round(float(y), 4),
                "box": None if box is None else [box.left, box.top, box.right, box.bottom],
            }
            for (kind, name), (x, y), box in zip(names, points, [*boxes[: len(words)], *rest], strict=True)
        ]
        report = {"canvas_px": params.canvas_px, "entries": entries}
        return encode_jpeg(np.asarray(canvas), 88), report, summary

    def _paste(self, canvas: PillowImage.Image, one: Found, box: Box) -> bool:
        """Draw an image at its place; False if it cannot be read any more."""
        try:
            photo = PillowImage.fromarray(decode(read_image(self.datasets, one.item.where)))
        except InterplayError:
            return False
        side = (box.right - box.left, box.bottom - box.top)
        canvas.paste(ImageOps.fit(photo, side, PillowImage.Resampling.LANCZOS), (box.left, box.top))
        return True


KIND = JobKind(
    name="map_embedding",
    summary="Draw a map (t-SNE) of a data set's images and of words, near where they mean the same",
    params=MapEmbedding,
    example={"input": "photos", "words": ["beach", "car", "dog"]},
    start=MapEmbeddingWork,
    capabilities=("embedding",),
    parallel=4,
)
