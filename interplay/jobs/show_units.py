"""Job kind ``show_units``: the images, and the regions in them, that fire a unit most (thesis, Fig. 4.11).

Units are those of the last layer before the head, pooled over the image. Of each unit asked for, or
of those whose images are most alike, the images with the strongest answer are drawn in a row, and under
each the same image with everything dimmed but the region that the answer comes from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from pydantic import Field, model_validator

from interplay.errors import InterplayError
from interplay.jobs.image_set import (
    CALL_BYTES,
    CALL_ITEMS,
    CALL_TIMEOUT_S,
    ITEM_ERRORS,
    LAST_UNIT,
    Found,
    ImageSetParams,
    ImageSetWork,
    SeenImage,
    own_error,
    pack,
    unpack,
)
from interplay.jobs.index_sources import read_image
from interplay.jobs.work import JobContext, JobKind
from interplay.media.draw import unit_sheet
from interplay.media.images import decode, encode_jpeg
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import analysis_pb2 as pb
from interplay.rpc.embedding.v1.analysis_pb2_grpc import EmbeddingAnalysisServiceStub
from interplay.types import Image

MAX_UNITS = 40
# Added to the spread of a unit's answers: one that hardly ever answers counts for little.
_LEAST_SPREAD = 1e-3
# Units whose images lie in directions with a larger cosine than this show much the same.
_SAME = 0.5


class ShowUnits(ImageSetParams):
    """Parameters of ``show_units``."""

    units: list[Annotated[int, Field(ge=0, le=LAST_UNIT)]] | None = Field(
        None,
        min_length=1,
        max_length=MAX_UNITS,
        description=f"Units to show, 0 to {LAST_UNIT}; those whose images are most alike if unset.",
    )
    count: int = Field(5, ge=1, le=MAX_UNITS, description="How many units, where `units` is not set.")
    top: int = Field(5, ge=1, le=12, description="Images of each unit.")
    threshold: float = Field(
        0.5, gt=0, lt=1, description="The region is where the map is above this part of its maximum."
    )

    @model_validator(mode="after")
    def _each_once(self) -> ShowUnits:
        if self.units is not None and len(set(self.units)) < len(self.units):
            raise ValueError("a unit is there more than once")
        return self


class ShowUnitsWork(ImageSetWork):
    """One attempt at the job, or a helper's part in one."""

    picture = "units.jpg"

    def __init__(self, params: ShowUnits, context: JobContext) -> None:
        super().__init__(params, context)
        self._params = params
        self._stub = EmbeddingAnalysisServiceStub(self.client.channel)  # type: ignore[no-untyped-call]

    def look(self, images: Sequence[SeenImage]) -> list[dict[str, Any] | InterplayError]:
        """What all units answer to images."""
        answers: list[dict[str, Any] | InterplayError] = []
        try:
            results = self._activations([image.content for image in images], ())
        except ITEM_ERRORS as error:
            if len(images) > 1:
                raise
            return [error]
        for result in results:
            if result.HasField("error"):
                answers.append(own_error(result.error))
            else:
                answers.append({"units": pack(np.frombuffer(result.activations.pooled, dtype="<f4"))})
        return answers

    def report(self, found: list[Found]) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
        """Rows of images and regions, and which they are."""
        params = self._params
        pooled = unpack(one.answer["units"] for one in found)
        top = min(params.top, len(found))
        if params.units is None:
            units = choose_units(pooled, params.count, top)
        else:
            units = params.units
        alike, _ = coherence(pooled, top)
        rows, entries = [], []
        for unit in units:
            best = strongest(pooled[:, unit], top)
            tiles = []
            shown = []
            for number, photo, region in self._regions(unit, [found[n] for n in best]):
                one = found[best[number]]
                tiles.append((photo, region))
                shown.append({"id": one.item.id, "activation": round(float(pooled[best[number], unit]), 4)})
            rows.append((f"unit {unit}", tiles))
            entries.append(
                {
                    "unit": unit,
                    "coherence": round(float(alike[unit]), 3),
                    "mean": round(float(pooled[:, unit].mean()), 4),
                    "images": shown,
                }
            )
        sheet = unit_sheet(rows)
        return encode_jpeg(sheet, 88), {"threshold": params.threshold, "shown": entries}, {"units": units}

    def _regions(self, unit: int, best: list[Found]) -> Iterator[tuple[int, Image, NDArray[np.bool_]]]:
        """Number, photo and region of those images that can still be read."""
        photos: list[tuple[int, bytes]] = []
        for number, one in enumerate(best):
            try:
                photos.append((number, read_image(self.datasets, one.item.where)))
            except InterplayError:
                continue
        for part in _portions(photos):
            results = self._activations([content for _, content in part], (unit,))
            for (number, content), result in zip(part, results, strict=True):
                if result.HasField("error"):
                    own_error(result.error)
                    continue
                (map_,) = result.activations.maps
                values = np.frombuffer(map_.values, dtype="<f4").reshape(map_.height, map_.width)
                photo = decode(content)
                yield number, photo, region_of(values, photo.shape[:2], self._params.threshold)

    def _activations(self, contents: list[bytes], units: Sequence[int]) -> list[pb.ActivationsResult]:
        images = [common_pb2.Image(content=content) for content in contents]
        request = pb.ActivationsRequest(images=images, units=units)
        return list(self.client.call(self._stub.Activations, request, timeout_s=CALL_TIMEOUT_S).results)


def coherence(pooled: NDArray[np.float32], top: int) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """How alike the strongest images of each unit are to the network.

    Images are compared by the cosine of what all units answer to them, each unit centred and divided by
    its spread. (How far a unit's strongest answers are above its others would be no good measure: it
    picks units that hardly ever answer, and then to anything.)

    Args:
        pooled: (N, U) answers of U units to N images.
        top: Images of each unit, at most N.

    Returns:
        (U,) mean cosine of two of the unit's strongest images, 0 for one image alone; and (U, U) the
        direction in which they lie, of length one.
    """
    profiles = pooled - pooled.mean(axis=0)
    profiles /= pooled.std(axis=0) + np.float32(_LEAST_SPREAD)
    profiles /= np.maximum(np.linalg.norm(profiles, axis=1, keepdims=True), 1e-9)
    # Unit by unit: sorting all at once would take several times the memory of the answers.
    order = np.array([strongest(answers, top) for answers in pooled.T]).T  # (top, U)
    sums = np.zeros((pooled.shape[1], pooled.shape[1]), dtype=np.float32)
    for images in order:
        sums += profiles[images]
    lengths = np.linalg.norm(sums.astype(np.float64), axis=1)
    alike = (lengths**2 - top) / (top * (top - 1)) if top > 1 else np.zeros(len(lengths))
    return alike, (sums / np.maximum(lengths, 1e-9)[:, None]).astype(np.float32)


def choose_units(pooled: NDArray[np.float32], count: int, top: int) -> list[int]:
    """The units whose strongest images are most alike, passing over those that show what one before shows.

    Args:
        pooled: (N, U).
        count: How many.
        top: Images of each.

    Returns:
        At most ``count`` units, the most coherent first; no two share an image or lie in much the same
        direction.
    """
    alike, directions = coherence(pooled, top)
    chosen: list[int] = []
    seen: set[int] = set()
    for unit in np.argsort(-alike, kind="stable").tolist():
        images = set(strongest(pooled[:, unit], top))
        if images & seen or any(directions[unit] @ directions[other] > _SAME for other in chosen):
            continue
        chosen.append(unit)
        seen |= images
        if len(chosen) == count:
            break
    return chosen


def strongest(answers: NDArray[np.float32], top: int) -> list[int]:
    """Numbers of the images with the strongest answers, strongest first."""
    return [int(number) for number in np.argsort(-answers, kind="stable")[:top]]


def region_of(values: NDArray[np.float32], size: tuple[int, int], threshold: float) -> NDArray[np.bool_]:
    """Where a map, drawn out smoothly over an image, is above a part of its maximum.

    Args:
        values: (h, w), 0 or more.
        size: Height and width of the image.
        threshold: The part, in (0, 1).

    Returns:
        (H, W) bool; all False if the map is 0 everywhere.
    """
    smooth = PillowImage.fromarray(np.asarray(values, dtype=np.float32)).resize(
        (size[1], size[0]), PillowImage.Resampling.BICUBIC
    )
    drawn = np.asarray(smooth)
    most = float(values.max(initial=0))
    return np.asarray(drawn > threshold * most) if most > 0 else np.zeros(size, dtype=bool)


def _portions(photos: list[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Photos of one call each."""
    start = 0
    while start < len(photos):
        stop, size = start, 0
        while stop < len(photos) and stop - start < CALL_ITEMS:
            size += len(photos[stop][1])
            if size > CALL_BYTES and stop > start:
                break
            stop += 1
        yield photos[start:stop]
        start = stop


KIND = JobKind(
    name="show_units",
    summary="Show the images and regions that fire units of the image network most",
    params=ShowUnits,
    example={"input": "photos", "count": 5, "top": 5},
    start=ShowUnitsWork,
    capabilities=("embedding",),
    parallel=4,
)
