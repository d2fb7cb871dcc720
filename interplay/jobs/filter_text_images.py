"""Job kind ``filter_text_images``: sort a data set by how much text its images hold (thesis 6.3).

The authors of MMHS150K dropped pictures that are nothing but text, screenshots above all, by the
mean of TextFCN's heatmap. Here every image is scored by the text detection servers; a rule then
decides, and the images nearest to its threshold are drawn on a contact sheet, so that a person can
see whether the threshold is right.
"""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from typing import Annotated, Any, BinaryIO, Literal, get_args

from pydantic import Field, StringConstraints

from interplay.datasets import ImageItem
from interplay.errors import Conflict, InterplayError, InvalidParameter, Unavailable
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobParams, JobResult, ResultFile, Work
from interplay.media.draw import contact_sheet
from interplay.media.images import decode, encode_jpeg, probe, shrink
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.status import error_from_item
from interplay.rpc.text_detection.v1 import text_detection_pb2
from interplay.settings import MAX_IMAGE_BYTES

PathField = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Measure = Literal["mean_probability", "max_probability", "text_area_ratio"]

KEPT, DROPPED, FAILED = "kept.jsonl", "dropped.jsonl", "failed.jsonl"
SUMMARY, SHEET = "summary.json", "contact_sheet.jpg"
MEDIA_TYPES = {
    KEPT: "application/jsonl",
    DROPPED: "application/jsonl",
    FAILED: "application/jsonl",
    SUMMARY: "application/json",
    SHEET: "image/jpeg",
}

# Most time one unit may take; a unit that is slower is done again, so this is generous.
_UNIT_TIMEOUT_S = 600.0
_THUMBNAIL_SIDE_PX = 320
_MAX_ITEMS = 2_000_000
_BINS = 20


class ThresholdRule(JobParams):
    """Keep the images on one side of a threshold."""

    keep: Literal["without_text", "with_text"] = Field(
        "without_text", description="Which side to keep: below the threshold, or at and above it."
    )
    measure: Measure = "mean_probability"
    threshold: float = Field(ge=0, le=1)

    def margin(self, scores: dict[str, float]) -> float:
        """How far inside the kept side an image is; negative when it is dropped."""
        below = self.threshold - scores[self.measure]
        return below if self.keep == "without_text" else -below

    def keeps(self, scores: dict[str, float]) -> bool:
        """Whether an image is kept; the threshold itself counts as text."""
        margin = self.margin(scores)
        return margin > 0 if self.keep == "without_text" else margin >= 0


class Mmhs150kRule:
    """The rule behind MMHS150K: little text, judged by brightness, and nothing that is very bright.

    Screenshots are bright and have letters all over, so the limit falls as brightness grows.
    """

    measure: Measure = "mean_probability"

    def margin(self, scores: dict[str, float]) -> float:
        """As ``ThresholdRule.margin``; -1 for images that are too bright at any score."""
        brightness = scores["mean_brightness"]
        if brightness >= 200:
            return -1.0
        return (0.3 if brightness < 150 else 0.2) - scores[self.measure]

    def keeps(self, scores: dict[str, float]) -> bool:
        """Whether an image is kept."""
        return self.margin(scores) > 0


class FilterTextImages(JobParams):
    """Parameters of ``filter_text_images``."""

    input: PathField = Field(description="Folder of images, or JSONL file with an `image` in each line.")
    output: PathField = Field(description="Folder for the lists; made if it is not there.")
    rule: Literal["mmhs150k"] | ThresholdRule = Field(
        "mmhs150k",
        description=(
            "`mmhs150k`: keep when the mean probability is < 0.3 at a brightness below 150, or < 0.2 at 150 "
            "to 200; brighter images are dropped. Or a threshold on one measure."
        ),
    )
    overwrite: bool = Field(False, description="Replace the lists of an earlier job in `output`.")
    batch_size: int = Field(
        64, ge=1, le=512, description="Images a unit: what is repeated at most after a crash."
    )
    examples: int = Field(24, ge=0, le=120, description="Images on the contact sheet; 0 for none.")

    def paths(self) -> dict[str, str]:
        """Input and output."""
        return {"input": self.input, "output": self.output}


class FilterTextImagesWork(Work):
    """One attempt at the job."""

    def __init__(self, params: FilterTextImages, context: JobContext) -> None:
        self._params = params
        self._datasets = context.datasets
        self._client = context.models.client("text_detection")
        self._rule = Mmhs150kRule() if params.rule == "mmhs150k" else params.rule

    def plan(self) -> list[list[Any]]:
        """Units of ``[id, image, extra fields]``.

        Raises:
            PermissionDenied: Input or output is outside the roots.
            NotFound: No input.
            InvalidParameter: Nothing in it, or too much, or a JSONL line is wrong.
            Conflict: The output holds the lists of an earlier job.
        """
        self._datasets.make_folder(self._params.output, name="params.output")
        if not self._params.overwrite and self._datasets.size(self._path(SUMMARY)) is not None:
            raise Conflict(
                f"{self._params.output!r} holds the lists of an earlier job: choose another folder "
                "or set overwrite",
                field="params.output",
            )
        items: list[Any] = []
        for item in self._datasets.images(self._params.input, name="params.input"):
            items.append([item.id, item.image, item.extra])
            if len(items) > _MAX_ITEMS:
                raise InvalidParameter(f"the input has more than {_MAX_ITEMS:,} images", field="params.input")
        if not items:
            raise InvalidParameter(f"there are no images in {self._params.input!r}", field="params.input")
        size = self._params.batch_size
        return [items[start : start + size] for start in range(0, len(items), size)]

    def run_unit(self, items: list[Any]) -> list[Any]:
        """Score the images of a unit over one stream."""
        images = [ImageItem(*item) for item in items]
        outcomes: dict[str, Any] = {}
        faults: list[Exception] = []
        for answer in self._client.bulk(self._requests(images, outcomes, faults), timeout_s=_UNIT_TIMEOUT_S):
            if answer.WhichOneof("response") == "error":
                error = error_from_item(answer.error)
                if error.row.retryable:
                    raise error
                outcomes[answer.id] = _failure(error)
            else:
                outcomes[answer.id] = _scored(answer.presence)
        if faults:
            raise faults[0]
        if len(outcomes) < len(images):
            raise Unavailable("the text detection server ended the stream early", retry_after_s=1)
        return [outcomes[str(number)] for number in range(len(images))]

    def _requests(
        self, images: list[ImageItem], outcomes: dict[str, Any], faults: list[Exception]
    ) -> Iterator[Any]:
        """Requests in order, read as the stream takes them; files that are no images fail here."""
        for number, item in enumerate(images):
            try:
                content = self._datasets.read_bytes(item.image, max_bytes=MAX_IMAGE_BYTES, name="image")
                probe(content)
            except InterplayError as error:
                outcomes[str(number)] = _failure(error)
                continue
            except Exception as fault:  # storage trouble; gRPC, whose thread this is, would swallow it
                faults.append(fault)
                return
            presence = text_detection_pb2.PresenceRequest(image=common_pb2.Image(content=content))
            yield text_detection_pb2.ProcessBulkRequest(id=str(number), presence=presence)

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Write the three lists, the contact sheet and, last, the summary."""
        tally = _Tally(self._params.examples)
        with ExitStack() as stack:
            lists = {
                name: stack.enter_context(self._datasets.write(self._path(name), name="params.output"))
                for name in (KEPT, DROPPED, FAILED)
            }
            for unit in units:
                for item, outcome in zip(unit.items, unit.results, strict=True):
                    self._sort(ImageItem(*item), outcome, lists, tally)
        self._draw(tally)
        summary = self._summary(tally)
        with self._datasets.write(self._path(SUMMARY), name="params.output") as stream:
            stream.write(json.dumps(summary, indent=2).encode() + b"\n")
        return JobResult(summary=summary, output=self._folder, files=list(self._files()))

    def _sort(self, item: ImageItem, outcome: Any, lists: dict[str, BinaryIO], tally: _Tally) -> None:
        line = {"id": item.id, "image": item.image, **item.extra}
        if "error" in outcome:
            name = FAILED
            line["error"] = outcome["error"]
        else:
            scores = outcome["scores"]
            keeps = self._rule.keeps(scores)
            name = KEPT if keeps else DROPPED
            line |= scores
            tally.add_scores(item, scores, keeps, self._rule.margin(scores), outcome["model"])
        tally.counts[name] += 1
        lists[name].write(json.dumps(line, ensure_ascii=False).encode() + b"\n")

    def _draw(self, tally: _Tally) -> None:
        """Draw the examples, the kept ones first, each side from clear to borderline and on."""
        images, captions = [], []
        for example in sorted(tally.nearest(), key=lambda e: -e.margin):
            try:
                content = self._datasets.read_bytes(example.image, max_bytes=MAX_IMAGE_BYTES)
                images.append(shrink(decode(content), _THUMBNAIL_SIDE_PX))
            except InterplayError:
                continue  # it was there when it was scored; a sheet without it is still of use
            verdict = "kept" if example.keeps else "dropped"
            captions.append(f"{verdict} {example.scores[self._measure]:.3f}")
        if images:
            with self._datasets.write(self._path(SHEET), name="params.output") as stream:
                stream.write(encode_jpeg(contact_sheet(images, captions)))

    def _summary(self, tally: _Tally) -> dict[str, Any]:
        rule = self._params.rule
        return {
            "images": sum(tally.counts.values()),
            "kept": tally.counts[KEPT],
            "dropped": tally.counts[DROPPED],
            "failed": tally.counts[FAILED],
            "input": self._params.input,
            "rule": rule if isinstance(rule, str) else rule.model_dump(),
            # More than one when a new model was rolled out while the job ran: then the scores differ in kind.
            "models": sorted(tally.models),
            "histogram": {
                "measure": self._measure,
                "bin_width": 1 / _BINS,
                "counts": tally.histogram(self._measure),
            },
        }

    def _files(self) -> Iterator[ResultFile]:
        for name, media_type in MEDIA_TYPES.items():
            size = self._datasets.size(self._path(name))
            if size is not None:
                yield ResultFile(name=name, media_type=media_type, bytes=size)

    @property
    def _measure(self) -> Measure:
        return self._rule.measure

    @property
    def _folder(self) -> str:
        return self._datasets.resolve(self._params.output, name="params.output").url

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"


@dataclass(frozen=True)
class _Example:
    image: str
    scores: dict[str, float]
    keeps: bool
    margin: float


class _Tally:
    """What is counted while the lists are written; holds the ``examples`` nearest to the threshold."""

    def __init__(self, examples: int) -> None:
        self.counts: Counter[str] = Counter()
        self.models: set[str] = set()
        self._bins = {measure: [0] * _BINS for measure in get_args(Measure)}
        self._room = {True: examples - examples // 2, False: examples // 2}
        # Heaps of the nearest, the farthest of them on top; the running number settles ties.
        self._nearest: dict[bool, list[tuple[float, int, _Example]]] = {True: [], False: []}
        self._number = count()

    def add_scores(
        self, item: ImageItem, scores: dict[str, float], keeps: bool, margin: float, model: str
    ) -> None:
        """Count a scored image."""
        self.models.add(model)
        for measure, bins in self._bins.items():
            bins[min(_BINS - 1, int(scores[measure] * _BINS))] += 1
        heap = self._nearest[keeps]
        heapq.heappush(heap, (-abs(margin), next(self._number), _Example(item.image, scores, keeps, margin)))
        if len(heap) > self._room[keeps]:
            heapq.heappop(heap)

    def histogram(self, measure: str) -> list[int]:
        """Images in each twentieth of a measure's range."""
        return self._bins[measure]

    def nearest(self) -> list[_Example]:
        """The examples, kept and dropped ones."""
        return [example for heap in self._nearest.values() for _, _, example in heap]


def _scored(presence: Any) -> dict[str, Any]:
    scores = {name: round(getattr(presence, name), 6) for name in (*get_args(Measure), "mean_brightness")}
    return {"scores": scores, "model": f"{presence.model.name} {presence.model.version}"}


def _failure(error: InterplayError) -> dict[str, Any]:
    return {"error": {"reason": error.row.reason, "message": error.message}}


KIND = JobKind(
    name="filter_text_images",
    summary="Sort a folder or list of images by how much text they hold",
    params=FilterTextImages,
    example={
        "input": "photos",
        "output": "filtered",
        "rule": {"measure": "mean_probability", "threshold": 0.05},
    },
    start=FilterTextImagesWork,
    capabilities=("text_detection",),
)
