"""Vectors of texts and images: admission, decoding, the batchers, and what the models say of themselves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import grpc

from interplay.errors import InterplayError
from interplay.predictors.embedding.image import ImageVector
from interplay.predictors.embedding.text import TextItem, TextVector
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.serving.batcher import Batcher
from interplay.serving.bulk import time_left, with_patience
from interplay.serving.indexes.model import IndexedImage, image_marks
from interplay.serving.requests import Requests
from interplay.types import Image, StageTimings
from services.embedding.calibration import Calibration
from services.embedding.options import check_text

Images = Batcher[Image, ImageVector]
Texts = Batcher[TextItem, TextVector]


@dataclass(frozen=True)
class Vectors:
    """What the two models make of a call's contents; the ``IndexedModel`` of this server's indexes.

    Attributes:
        images: Batcher of the image model.
        texts: Batcher of the words.
        requests: Admission.
        pixels: Of the image model's input.
    """

    images: Images
    texts: Texts
    requests: Requests
    pixels: int

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""
        return int(self.texts.runtime.manifest.config["dimension"])

    @property
    def space(self) -> str:
        """Digest of the word model: vectors of another one mean nothing here."""
        return self.texts.runtime.manifest.digest

    @property
    def space_name(self) -> str:
        """What people call that model."""
        return "word model"

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages of query words beside English."""
        return tuple(self.texts.runtime.manifest.details.get("translations", {}))

    @property
    def calibration(self) -> Calibration:
        """What a cosine means."""
        return Calibration.from_thresholds(self.texts.runtime.manifest.thresholds)

    def text_item(self, text: pb.Text, field: str) -> TextItem:
        """A text of a request, checked.

        Raises:
            InvalidParameter: Too long, or a language that the model does not know.
        """
        return TextItem(*check_text(text, self.languages, field))

    async def of_text(self, item: TextItem, context: grpc.aio.ServicerContext) -> TextVector:
        """The vector of one text."""
        with self.requests.admit(None, context) as work:
            return await work.run(self.texts, item, bucket=None, pixels=1)

    async def of_image(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings, thumbnail_px: int = 0
    ) -> IndexedImage:
        """The vector of one image, refused at once where there is no room."""
        with self.requests.admit(content, context) as work:
            image = await work.decode()
            vector = await work.run(self.images, image, bucket=None, pixels=self.pixels)
            mark, small = await work.finish(image_marks, image, thumbnail_px)
        timings.add(work.timings)
        return IndexedImage(vector.vector, mark, small)

    async def of_image_patiently(
        self, content: bytes, context: grpc.aio.ServicerContext, timings: StageTimings, thumbnail_px: int = 0
    ) -> IndexedImage:
        """Of a call with many images: wait for room instead of refusing."""
        return await with_patience(
            lambda: self.of_image(content, context, timings, thumbnail_px), time_left(context)
        )

    async def of_images(
        self, contents: list[bytes], context: grpc.aio.ServicerContext, timings: StageTimings
    ) -> list[IndexedImage | InterplayError]:
        """Vectors of images; of several, a bad one is an error in its place."""
        if len(contents) == 1:
            return [await self.of_image(contents[0], context, timings)]

        async def one(content: bytes) -> IndexedImage | InterplayError:
            try:
                return await self.of_image_patiently(content, context, timings)
            except InterplayError as error:
                return error

        return list(await asyncio.gather(*map(one, contents)))
