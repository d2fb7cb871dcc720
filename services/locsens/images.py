"""Images of a call: admission, decoding, the image model's batcher."""

from __future__ import annotations

from dataclasses import dataclass

import grpc

from interplay.media.fingerprint import fingerprint
from interplay.media.thumbnails import encode_thumbnail
from interplay.predictors.locsens.image import TaggedImage
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import with_patience
from interplay.serving.indexes.model import IndexedImage
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

        def time_left_s() -> float:
            remaining = context.time_remaining()
            return float("inf") if remaining is None else remaining

        async def once() -> IndexedImage:
            found, (mark, small) = await self._image(content, context, timings, thumbnail_px)
            return IndexedImage(found.vector, mark, small)

        return await with_patience(once, time_left_s)

    async def _image(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings, thumbnail_px: int = 0
    ) -> tuple[TaggedImage, tuple[int, bytes]]:
        with self.requests.admit(content, context) as work:
            image = await work.decode()
            side = int(self.manifest.details["side"])
            found = await work.run(self.tagger, image, bucket=None, pixels=side * side)
            marks = await work.finish(_marks, image, thumbnail_px)
        timings.add(work.timings)
        return found, marks


def _marks(image: Image, thumbnail_px: int) -> tuple[int, bytes]:
    return fingerprint(image), encode_thumbnail(image, thumbnail_px) if thumbnail_px else b""
