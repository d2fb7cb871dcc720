"""Job kind ``deep_dream``: an image changed so that a layer, a unit or a word is seen in it (thesis 4.4.6).

The embedding server does the steps. A unit of work is a few of them; the picture after each unit is
kept in the folder ``steps``, so a dream that was interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
from pydantic import Field, StringConstraints, model_validator

from interplay.errors import InternalError
from interplay.jobs.image_set import LAST_UNIT, REPORT, PathField, ReportFolder, ReportParams
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobResult, Work
from interplay.media.images import decode, encode_jpeg
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import analysis_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2
from interplay.rpc.embedding.v1.analysis_pb2_grpc import EmbeddingAnalysisServiceStub
from interplay.settings import MAX_IMAGE_BYTES

PICTURE = "dream.jpg"
DEFAULT_LAYER = 5
_STEPS_A_UNIT = 5
_CALL_TIMEOUT_S = 300.0


class DeepDream(ReportParams):
    """Parameters of ``deep_dream``."""

    image: PathField = Field(description="JPEG, PNG or WebP file to begin with.")
    layer: int | None = Field(
        None, ge=1, le=8, description=f"Amplify this layer, 8 the last; {DEFAULT_LAYER} if no aim is set."
    )
    unit: int | None = Field(
        None, ge=0, le=LAST_UNIT, description=f"Amplify this unit of the last layer, 0 to {LAST_UNIT}."
    )
    word: Annotated[str, StringConstraints(min_length=1, max_length=200)] | None = Field(
        None, description="Bring the image near these words."
    )
    side_px: int = Field(640, ge=64, le=1024, description="Longer side of the result.")
    octaves: int = Field(4, ge=1, le=8, description="Sizes worked on, from small to large.")
    octave_scale: float = Field(1.4, ge=1.1, le=2, description="Of a size to the one before.")
    steps: int = Field(10, ge=1, le=100, description="Steps at each size.")
    rate: float = Field(1.5, ge=0.01, le=20, description="Mean change of a pixel in a step, of 255.")
    jitter: int = Field(32, ge=0, le=64, description="Largest shift before a step, in pixels.")
    seed: int = Field(0, ge=0, le=2**31 - 1, description="Of the shifts.")

    @model_validator(mode="after")
    def _one_aim(self) -> DeepDream:
        aims = [name for name in ("layer", "unit", "word") if getattr(self, name) is not None]
        if len(aims) > 1:
            raise ValueError(f"one aim is taken, and there are {len(aims)}: {', '.join(aims)}")
        return self

    def paths(self) -> dict[str, str]:
        """Image and output."""
        return {"image": self.image, **super().paths()}


class DeepDreamWork(Work):
    """One attempt at the job."""

    def __init__(self, params: DeepDream, context: JobContext) -> None:
        self._params = params
        self._datasets = context.datasets
        self._client = context.models.client("embedding")
        self._stub = EmbeddingAnalysisServiceStub(self._client.channel)  # type: ignore[no-untyped-call]
        self._folder = ReportFolder(params, context)

    def plan(self) -> list[list[Any]]:
        """Units of step numbers, none across two sizes.

        Raises:
            PermissionDenied, NotFound, UnsupportedMedia, UnreadableImage: The image cannot be used.
            Conflict: The output holds the report of an earlier job.
        """
        self._folder.make()
        decode(self._read_image())
        steps = self._params.steps
        return [
            list(range(octave * steps + first, octave * steps + min(first + _STEPS_A_UNIT, steps)))
            for octave in range(self._params.octaves)
            for first in range(0, steps, _STEPS_A_UNIT)
        ]

    def run_unit(self, items: list[Any]) -> list[Any]:
        """Do a few steps and keep the picture after them."""
        request = self._request()
        request.done, request.until = items[0], items[-1] + 1
        if request.done:
            picture = self._folder.read(_step_file(request.done), max_bytes=MAX_IMAGE_BYTES)
            request.picture.content = picture
        scores, last = [], None
        for last in self._client.stream(self._stub.Dream, request, timeout_s=_CALL_TIMEOUT_S):
            scores.append(round(last.score, 4))
        if last is None or len(scores) != len(items):
            raise InternalError(f"the server did {len(scores)} of {len(items)} steps")
        self._folder.write(_step_file(last.done), last.picture)
        return scores

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Write the picture and the report."""
        scores = [score for unit in units for score in unit.results]
        done = self._folder.read(_step_file(len(scores)), max_bytes=MAX_IMAGE_BYTES)
        picture = decode(done)
        self._folder.write(PICTURE, encode_jpeg(np.asarray(picture), 92))
        height, width = picture.shape[:2]
        summary = {"width": width, "height": height, "steps": len(scores), "score": scores[-1]}
        aim = {"layer": self._layer, "unit": self._params.unit, "word": self._params.word}
        report = {
            **{name: value for name, value in aim.items() if value is not None},
            **summary,
            **self._params.model_dump(include={"image", "octaves", "octave_scale", "rate", "jitter", "seed"}),
            "scores": scores,
        }
        self._folder.write_json(REPORT, report)
        return self._folder.result(summary, (PICTURE, REPORT))

    def _request(self) -> pb.DreamRequest:
        params = self._params
        request = pb.DreamRequest(
            image=common_pb2.Image(content=self._read_image()),
            side=params.side_px,
            octaves=params.octaves,
            octave_scale=params.octave_scale,
            steps=params.steps,
            rate=params.rate,
            jitter=params.jitter,
            seed=params.seed,
        )
        if params.word is not None:
            request.text.CopyFrom(embedding_pb2.Text(content=params.word))
        elif params.unit is not None:
            request.unit = params.unit
        else:
            request.layer = self._layer or DEFAULT_LAYER
        return request

    @property
    def _layer(self) -> int | None:
        params = self._params
        return params.layer or (DEFAULT_LAYER if params.unit is None and params.word is None else None)

    def _read_image(self) -> bytes:
        return self._datasets.read_bytes(self._params.image, max_bytes=MAX_IMAGE_BYTES, name="params.image")


def _step_file(done: int) -> str:
    return f"steps/{done:03}.png"


KIND = JobKind(
    name="deep_dream",
    summary="Change an image so that a layer, a unit or a word is seen in it (DeepDream)",
    params=DeepDream,
    example={"image": "photo.jpg", "word": "dog"},
    start=DeepDreamWork,
    capabilities=("embedding",),
)
