"""Images of a call: admission, decoding, the image model's batcher."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from interplay.predictors.locsens.image import TaggedImage
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import time_left, with_patience
from interplay.serving.indexes.model import IndexedImage, image_marks
from interplay.serving.requests import Requests
from interplay.store import Manifest
from interplay.types import Image, StageTimings


@dataclass(frozen=True)
class Images:
    """What the image model makes of a call's images; see ``IndexedModel``.

    Attributes:
        tagger: Batcher of the image model.
        requests: Admission.
        manifest: The image model's.
    """

    tagger: Batcher[Image, TaggedImage]
    requests: Requests
    manifest: Manifest

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.manifest.config["dimension"])

    @property
    def space(self) -> str:
        """Digest of the image model: vectors of another one mean nothing here."""
        return self.manifest.digest

    @property
    def space_name(self) -> str:
        """See ``IndexedModel``."""
        return "image model"

    async def of_image(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings
    ) -> TaggedImage:
        """What one image says, refused at once where there is no room."""
        found, _ = await self._image(content, context, timings)
        return found

    async def of_image_patiently(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings, thumbnail_px: int = 0
    ) -> IndexedImage:
        """Of a call with many images: wait for room instead of refusing."""

        async def once() -> IndexedImage:
            found, (mark, small) = await self._image(content, context, timings, thumbnail_px)
            return IndexedImage(found.vector, mark, small)

        return await with_patience(once, time_left(context))

    async def _image(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings, thumbnail_px: int = 0
    ) -> tuple[TaggedImage, tuple[int, bytes]]:
        with self.requests.admit(content, context) as work:
            image = await work.decode()
            side = int(self.manifest.details["side"])
            found = await work.run(self.tagger, image, bucket=None, pixels=side * side)
            marks = await work.finish(image_marks, image, thumbnail_px)
        timings.add(work.timings)
        return found, marks
