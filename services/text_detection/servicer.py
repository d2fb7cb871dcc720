"""``TextDetectionService``: translation between the contract, the batchers and the predictors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from numpy.typing import NDArray

from interplay.errors import InternalError, InterplayError, InvalidParameter
from interplay.media.images import encode_heatmap_png
from interplay.predictors.text_detection.layout import reading_lines
from interplay.predictors.text_detection.reader import (
    HEIGHT,
    WordReader,
    crop_region,
    upright_candidates,
    width_bucket,
)
from interplay.predictors.text_detection.regions import presence, regions_from_heatmap
from interplay.predictors.text_detection.segmenter import input_size
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.status import item_error
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.rpc.text_detection.v1 import text_detection_pb2_grpc as pb_grpc
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.bulk import process_stream, time_left, with_patience
from interplay.serving.checks import check_fraction
from interplay.serving.model_service import model_info
from interplay.serving.requests import Requests, Work, timings_message
from interplay.serving.runtime import InProcessRuntime
from interplay.serving.runtimes import runtime_for
from interplay.serving.server import Service
from interplay.settings import available_cores
from interplay.telemetry.logging import get_logger
from interplay.types import Heatmap, Image, Region
from services.text_detection import options as opt
from services.text_detection.open_inference import open_models
from services.text_detection.settings import TextDetectionSettings

log = get_logger(__name__)

# Crops handed to the reader at one time by one request: a page of 2,000 words takes its turns.
_CROPS_AT_ONCE = 64


def build_service(
    settings: TextDetectionSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
) -> Service:
    """Batchers and servicer of this capability; models are loaded later, by the batchers."""
    threads = settings.threads or available_cores()
    segmenter: Batcher[Image, Heatmap] = Batcher(
        settings.model,
        runtime_for(settings, settings.model, settings.model_version),
        settings.batch_limits,
        on_death=on_death,
    )
    # The recogniser comes with a package and not from the store, so it always runs here.
    reader: Batcher[Image, tuple[str, float]] = Batcher(
        "ppocrv4-rec",
        InProcessRuntime(lambda: WordReader(threads=threads)),
        BatchLimits(max_batch_items=settings.reader_batch_items, max_delay_s=0.0),
        on_death=on_death,
    )
    requests = Requests(segmenter, pool, settings.image_limits, settings.max_deadline_s)
    servicer = TextDetectionServicer(segmenter, reader, requests)
    return Service(
        batchers=(segmenter, reader),
        register=lambda server: pb_grpc.add_TextDetectionServiceServicer_to_server(servicer, server),  # type: ignore[no-untyped-call]
        tensors=open_models(segmenter, reader, requests),
    )


class TextDetectionServicer(pb_grpc.TextDetectionServiceServicer):
    """See ``protos/interplay/text_detection/v1/text_detection.proto``."""

    def __init__(
        self,
        segmenter: Batcher[Image, Heatmap],
        reader: Batcher[Image, tuple[str, float]],
        requests: Requests,
    ) -> None:
        self._segmenter = segmenter
        self._reader = reader
        self._requests = requests

    async def Segment(
        self, request: pb.SegmentRequest, context: grpc.aio.ServicerContext
    ) -> pb.SegmentResponse:
        """Text probability of every pixel."""
        form = opt.heatmap_format(request.format)
        with self._requests.admit(request.image.content, context) as work:
            _, heatmap = await self._heatmap(work)
            encode = encode_heatmap_png if form == pb.HEATMAP_FORMAT_PNG else _float16_bytes
            content = await work.finish(encode, heatmap.text)
        height, width = heatmap.text.shape
        return pb.SegmentResponse(
            heatmap=content,
            format=form,
            width=width,
            height=height,
            model=model_info(self._segmenter.runtime.manifest),
            timings=timings_message(work.timings),
        )

    async def Detect(self, request: pb.DetectRequest, context: grpc.aio.ServicerContext) -> pb.DetectResponse:
        """Word regions."""
        params = opt.region_params(request.options, self._segmenter.runtime.manifest)
        with self._requests.admit(request.image.content, context) as work:
            image, heatmap = await self._heatmap(work)
            regions = await work.finish(regions_from_heatmap, heatmap, params)
        return pb.DetectResponse(
            regions=[_region_message(region) for region in regions],
            width=image.shape[1],
            height=image.shape[0],
            model=model_info(self._segmenter.runtime.manifest),
            timings=timings_message(work.timings),
        )

    async def Read(self, request: pb.ReadRequest, context: grpc.aio.ServicerContext) -> pb.ReadResponse:
        """Word regions with their text."""
        reader_manifest = self._reader.runtime.manifest
        min_confidence = reader_manifest.thresholds["min_confidence"]
        if request.HasField("min_confidence"):
            min_confidence = check_fraction(request.min_confidence, "min_confidence")
        if request.polygons and request.HasField("options"):
            raise InvalidParameter("options find regions, so they cannot come with polygons", field="options")
        params = opt.region_params(request.options, self._segmenter.runtime.manifest)
        with self._requests.admit(request.image.content, context) as work:
            if request.polygons:
                image = await work.decode()
                quads = opt.quadrilaterals(request.polygons, image.shape[1], image.shape[0])
                regions = [Region(quad, 1.0) for quad in quads]
            else:
                image, heatmap = await self._heatmap(work)
                regions = await work.finish(regions_from_heatmap, heatmap, params)
            texts = await self._read(work, image, regions)
            words, text = await work.finish(_in_reading_order, regions, texts, min_confidence)
        response = pb.ReadResponse(
            words=words,
            text=text,
            width=image.shape[1],
            height=image.shape[0],
            reader=model_info(reader_manifest),
            timings=timings_message(work.timings),
        )
        if not request.polygons:
            response.model.CopyFrom(model_info(self._segmenter.runtime.manifest))
        return response

    async def Presence(
        self, request: pb.PresenceRequest, context: grpc.aio.ServicerContext
    ) -> pb.PresenceResponse:
        """How much text an image holds."""
        manifest = self._segmenter.runtime.manifest
        threshold = manifest.thresholds["pixel"]
        if request.HasField("pixel_threshold"):
            threshold = opt.pixel_threshold(request.pixel_threshold, "pixel_threshold")
        with self._requests.admit(request.image.content, context) as work:
            image, heatmap = await self._heatmap(work)
            found = await work.finish(presence, image, heatmap, threshold)
        return pb.PresenceResponse(
            mean_probability=found.mean_probability,
            max_probability=found.max_probability,
            text_area_ratio=found.text_area_ratio,
            mean_brightness=found.mean_brightness,
            width=image.shape[1],
            height=image.shape[0],
            model=model_info(manifest),
            timings=timings_message(work.timings),
        )

    async def ProcessBulk(
        self, requests: AsyncIterator[pb.ProcessBulkRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ProcessBulkResponse]:
        """Any of the above over one stream. Half of the server's room is left to single calls."""
        methods: dict[str, Callable[[Any, Any], Awaitable[Any]]] = {
            "segment": self.Segment,
            "detect": self.Detect,
            "read": self.Read,
            "presence": self.Presence,
        }

        async def handle(item: pb.ProcessBulkRequest) -> pb.ProcessBulkResponse:
            response = pb.ProcessBulkResponse(id=item.id)
            try:
                if not 1 <= len(item.id) <= 128:
                    raise InvalidParameter(
                        f"id has {len(item.id)} characters; it must have 1 to 128", field="id"
                    )
                kind = item.WhichOneof("request")
                if kind is None:
                    raise InvalidParameter("the item has no request", field="request")
                method, message = methods[kind], getattr(item, kind)
                answer = await with_patience(lambda: method(message, context), time_left(context))
                getattr(response, kind).CopyFrom(answer)
            except InterplayError as error:
                response.error.CopyFrom(item_error(error))
            except Exception:
                log.exception("bulk_item_failed")
                response.error.CopyFrom(item_error(InternalError("the server failed on this item")))
            return response

        concurrency = max(1, self._segmenter.limits.max_inflight // 2)
        async for response in process_stream(requests, handle, concurrency=concurrency):
            yield response

    async def _heatmap(self, work: Work) -> tuple[Image, Heatmap]:
        image = await work.decode()
        height, width = image.shape[:2]
        size = input_size(height, width, self._segmenter.runtime.manifest.preprocessing)
        heatmap = await work.run(self._segmenter, image, bucket=size, pixels=size[0] * size[1])
        return image, heatmap

    async def _read(self, work: Work, image: Image, regions: Sequence[Region]) -> list[tuple[str, float]]:
        """Text and confidence of each region: the best of the ways it may have to be turned."""
        texts: list[tuple[str, float]] = []
        for start in range(0, len(regions), _CROPS_AT_ONCE):
            part = regions[start : start + _CROPS_AT_ONCE]
            crops = await work.finish(_cut_out, image, part)
            items = [
                (crop, width_bucket(crop), width_bucket(crop) * HEIGHT) for turns in crops for crop in turns
            ]
            readings = await work.run_all(self._reader, items)
            remaining = iter(readings)
            for turns in crops:
                texts.append(max((next(remaining) for _ in turns), key=lambda reading: reading[1]))
        return texts


def _cut_out(image: Image, regions: Sequence[Region]) -> list[list[Image]]:
    return [upright_candidates(crop_region(image, region.polygon)) for region in regions]


def _float16_bytes(probability: NDArray[np.float32]) -> bytes:
    return probability.astype("<f2").tobytes()


def _region_message(region: Region) -> pb.Region:
    points = [common_pb2.Point(x=float(x), y=float(y)) for x, y in region.polygon]
    return pb.Region(polygon=common_pb2.Polygon(points=points), score=region.score)


def _in_reading_order(
    regions: Sequence[Region], texts: Sequence[tuple[str, float]], min_confidence: float
) -> tuple[list[pb.Word], str]:
    """Words that were read confidently, in reading order, and their text."""
    kept = [i for i, (text, confidence) in enumerate(texts) if text and confidence >= min_confidence]
    lines = reading_lines([regions[i].polygon for i in kept])
    words, text_lines = [], []
    for line in lines:
        indices = [kept[i] for i in line]
        text_lines.append(" ".join(texts[i][0] for i in indices))
        words += [
            pb.Word(region=_region_message(regions[i]), text=texts[i][0], confidence=texts[i][1])
            for i in indices
        ]
    return words, "\n".join(text_lines)
