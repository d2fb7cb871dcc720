"""``StyleTransferService``: translation between the contract, the batchers and the predictors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import grpc
import numpy as np
from numpy.typing import NDArray

from interplay.capabilities import get_capability
from interplay.errors import InvalidParameter, PayloadTooLarge
from interplay.media.images import encode_picture, probe
from interplay.predictors.style_transfer.masks import heat_mask, polygon_mask
from interplay.predictors.style_transfer.stylist import StyleItem
from interplay.predictors.style_transfer.words import (
    check_letters,
    draw_words,
    insert_region,
    prepare_region,
    with_alpha,
)
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb
from interplay.rpc.style_transfer.v1 import style_transfer_pb2_grpc as pb_grpc
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.model_service import model_info
from interplay.serving.requests import Requests, Work, timings_message
from interplay.serving.runtimes import runtime_for
from interplay.serving.server import Service
from interplay.store import resolve
from interplay.types import Image
from services.style_transfer import options as opt
from services.style_transfer.catalogue import Catalogue, Samples, Styling, mix_weights
from services.style_transfer.detection import Detection, Heat, same_size
from services.style_transfer.open_inference import open_models
from services.style_transfer.settings import CAPABILITY, StyleTransferSettings

DOMAIN_MODELS = ("style-scene", "style-print", "style-handwriting")
SELECTIVE_MODEL = "style-selective"
PERCEPTUAL_MODEL = "perceptual-vgg19"
_KINDS = {pb.PICTURE_FORMAT_PNG: "PNG", pb.PICTURE_FORMAT_JPEG: "JPEG", pb.PICTURE_FORMAT_WEBP: "WEBP"}


def build_service(
    settings: StyleTransferSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
) -> Service:
    """Batchers and servicer of this capability; networks are loaded later, by the batchers."""
    manifests = {name: resolve(settings.model_store, name).manifest for name in CAPABILITY.models}
    styling: dict[str, Styling] = {
        name: Batcher(name, runtime_for(settings, name), settings.batch_limits, on_death=on_death)
        for name in CAPABILITY.models
    }
    describing: Batcher[Image, NDArray[np.float32]] = Batcher(
        PERCEPTUAL_MODEL,
        runtime_for(settings, PERCEPTUAL_MODEL),
        BatchLimits(max_delay_s=0.0),
        on_death=on_death,
    )
    catalogue = Catalogue([manifests[name] for name in DOMAIN_MODELS], manifests[SELECTIVE_MODEL])
    detector = ModelServerClient(get_capability("text_detection"), settings.detection_target)
    requests = Requests(styling[DOMAIN_MODELS[0]], pool, settings.image_limits, settings.max_deadline_s)
    servicer = StyleTransferServicer(
        settings,
        catalogue,
        styling,
        Samples(catalogue, styling, describing),
        Detection(detector),
        requests,
    )
    return Service(
        batchers=(*styling.values(), describing),
        register=lambda server: pb_grpc.add_StyleTransferServiceServicer_to_server(servicer, server),  # type: ignore[no-untyped-call]
        close=detector.close,
        tensors=open_models(
            styling,
            {name: len(manifest.labels) for name, manifest in manifests.items()},
            describing,
            requests,
        ),
    )


class StyleTransferServicer(pb_grpc.StyleTransferServiceServicer):
    """See ``protos/interplay/style_transfer/v1/style_transfer.proto``."""

    def __init__(
        self,
        settings: StyleTransferSettings,
        catalogue: Catalogue,
        styling: Mapping[str, Styling],
        samples: Samples,
        detection: Detection,
        requests: Requests,
    ) -> None:
        self._settings = settings
        self._catalogue = catalogue
        self._styling = styling
        self._samples = samples
        self._detection = detection
        self._requests = requests

    async def ListStyles(
        self, request: pb.ListStylesRequest, context: grpc.aio.ServicerContext
    ) -> pb.ListStylesResponse:
        """The styles, with a word drawn in each."""
        thumbnails = {} if request.without_thumbnails else await self._samples.thumbnails()
        return pb.ListStylesResponse(
            styles=[
                pb.Style(
                    name=entry.name,
                    domain=entry.domain,
                    thumbnail=thumbnails.get(entry.name, b""),
                    model=self._model(entry.model),
                    end_to_end=entry.name in self._catalogue.selective.labels,
                )
                for entry in self._catalogue.entries.values()
            ]
        )

    async def Stylize(
        self, request: pb.StylizeRequest, context: grpc.aio.ServicerContext
    ) -> pb.StylizeResponse:
        """A photo, or only its text, in one or several styles."""
        form, quality = opt.picture_format(request.format), opt.picture_quality(request)
        mode = opt.style_mode(request)
        mixes = opt.style_mixes(request.mixes, self._catalogue.entries)
        models = [self._model_for(mix, mode, f"mixes[{index}]") for index, mix in enumerate(mixes)]
        content = request.image.content
        self._check_work(content, len(mixes))
        with self._requests.admit(content, context, times=len(mixes)) as work:
            image, mask, detector = await self._mask(work, request, mode)
            results = await asyncio.gather(
                *(
                    self._restyle(work, model, mix, image, mask)
                    for model, mix in zip(models, mixes, strict=True)
                )
            )
            images = [await work.finish(encode_picture, result, _KINDS[form], quality) for result in results]
            ratio = 1.0
            if mode != pb.STYLE_MODE_WHOLE:
                ratio = await work.finish(_styled_ratio, image, results[0], mask)
        return pb.StylizeResponse(
            images=images,
            format=form,
            width=image.shape[1],
            height=image.shape[0],
            styled_ratio=ratio,
            model=self._model(models[0]),
            detector=detector,
            timings=timings_message(work.timings),
        )

    async def RenderText(
        self, request: pb.RenderTextRequest, context: grpc.aio.ServicerContext
    ) -> pb.RenderTextResponse:
        """Words in a style, alone or in a photo."""
        form, quality = opt.picture_format(request.format), opt.picture_quality(request)
        has_photo = request.HasField("image")
        text = opt.words(request.text, lines=1 if has_photo else opt.MAX_LINES)
        check_letters(text, self._settings.font)
        mix = opt.style_mix(request.mix, self._catalogue.entries, "mix") if request.HasField("mix") else None
        if has_photo:
            if request.HasField("line_height"):
                raise InvalidParameter("line_height is for words without a photo", field="line_height")
            return await self._into_photo(request, context, text, mix, form, quality)
        if mix is None:
            raise InvalidParameter("without a photo there must be a mix of styles", field="mix")
        if request.HasField("region"):
            raise InvalidParameter("region is a place in a photo, and there is none", field="region")
        height = opt.line_height(request)
        model = self._catalogue.model_of(mix, "mix")
        ink, paper = self._catalogue.colours(mix)
        pixels = (text.count("\n") + 2) * len(text) * height * height
        with self._requests.admit(None, context, pixels=pixels) as work:
            drawn = await work.finish(draw_words, text, height, ink, paper, self._settings.font)
            styled = await self._restyle(work, model, mix, drawn.image, None)
            picture = await work.finish(with_alpha, styled, drawn.coverage, height)
            encoded = await work.finish(encode_picture, picture, _KINDS[form], quality)
        return pb.RenderTextResponse(
            image=encoded,
            format=form,
            width=picture.shape[1],
            height=picture.shape[0],
            mix=_mix_message(mix),
            model=self._model(model),
            timings=timings_message(work.timings),
        )

    async def _into_photo(
        self,
        request: pb.RenderTextRequest,
        context: grpc.aio.ServicerContext,
        text: str,
        mix: opt.Mix | None,
        form: pb.PictureFormat,
        quality: int,
    ) -> pb.RenderTextResponse:
        content = request.image.content
        with self._requests.admit(content, context) as work:
            image, heat = await self._decode_and_find(work, content)
            height, width = image.shape[:2]
            if request.HasField("region"):
                quad = opt.quadrilateral(request.region, width, height, "region")
            else:
                quad = await self._detection.largest_word(content, work.deadline - monotonic())
            region = await work.finish(
                prepare_region, image, quad, text, same_size(heat, height, width), self._settings.font
            )
            own = mix is None
            if mix is None:
                mix = {await self._samples.nearest(region.before): 1.0}
            model = self._catalogue.model_of(mix, "mix")
            styled = await self._restyle(work, model, mix, region.drawn, None)
            picture = await work.finish(insert_region, image, region, styled, own_colours=own)
            encoded = await work.finish(encode_picture, picture, _KINDS[form], quality)
        points = [common_pb2.Point(x=float(x), y=float(y)) for x, y in region.quad]
        return pb.RenderTextResponse(
            image=encoded,
            format=form,
            width=width,
            height=height,
            mix=_mix_message(mix),
            region=common_pb2.Polygon(points=points),
            model=self._model(model),
            detector=heat.model,
            timings=timings_message(work.timings),
        )

    async def _mask(
        self, work: Work, request: pb.StylizeRequest, mode: int
    ) -> tuple[Image, NDArray[np.float32] | None, common_pb2.ModelInfo | None]:
        """The photo, what to restyle of it (None = all), and the model that found it."""
        if mode == pb.STYLE_MODE_SELECTIVE:
            floor = opt.heat_floor(
                request, self._styling[DOMAIN_MODELS[0]].runtime.manifest.thresholds["heat_floor"]
            )
            image, heat = await self._decode_and_find(work, request.image.content)
            height, width = image.shape[:2]
            return image, await work.finish(heat_mask, same_size(heat, height, width), floor), heat.model
        image = await work.decode()
        height, width = image.shape[:2]
        if mode == pb.STYLE_MODE_POLYGONS:
            shapes = opt.polygons(request.polygons, width, height)
            return image, await work.finish(polygon_mask, height, width, shapes), None
        return image, None, None

    async def _decode_and_find(self, work: Work, content: bytes) -> tuple[Image, Heat]:
        """The photo and where its text is, at once. If both fail, the first to fail is told."""
        return await asyncio.gather(work.decode(), self._detection.heat(content, work.deadline - monotonic()))

    async def _restyle(
        self, work: Work, model: str, mix: opt.Mix, image: Image, mask: NDArray[np.float32] | None
    ) -> Image:
        batcher = self._styling[model]
        height, width = image.shape[:2]
        item = StyleItem(image, mix_weights(mix, batcher.runtime.manifest.labels), mask)
        return await work.run(batcher, item, bucket=(height, width), pixels=height * width)

    def _model_for(self, mix: opt.Mix, mode: int, field: str) -> str:
        if mode != pb.STYLE_MODE_END_TO_END:
            return self._catalogue.model_of(mix, field)
        self._catalogue.check_end_to_end(mix, field)
        return SELECTIVE_MODEL

    def _check_work(self, content: bytes, results: int) -> None:
        pixels, limit = probe(content, self._settings.image_limits).pixels, self._settings.max_styled_pixels
        if pixels * results > limit:
            raise PayloadTooLarge(
                f"the image has {pixels:,} pixels, which makes {pixels * results:,} in {results} styles; "
                f"the limit of one call is {limit:,}",
                field="mixes",
                metadata={"limit": str(limit), "value": str(pixels * results)},
            )

    def _model(self, name: str) -> common_pb2.ModelInfo:
        return model_info(self._styling[name].runtime.manifest)


def _styled_ratio(image: Image, result: Image, mask: NDArray[np.float32] | None) -> float:
    if mask is not None:
        return float(np.count_nonzero(mask) / mask.size)
    changed = (image != result).any(axis=2)  # where its gate is closed the end-to-end model changes nothing
    return float(np.count_nonzero(changed) / changed.size)


def _mix_message(mix: opt.Mix) -> pb.StyleMix:
    return pb.StyleMix(parts=[pb.StyleWeight(style=name, weight=weight) for name, weight in mix.items()])
