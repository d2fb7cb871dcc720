"""What the analysis jobs share: read a set, ask the embedding server about each image, go on over bad ones.

A kind names what it asks (``look``) and what it makes of all answers (``report``). Reading, batches,
resuming, the list of images that failed and the files' places are here.
"""

from __future__ import annotations

import base64
import json
import random
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints

from interplay.errors import (
    Conflict,
    InterplayError,
    InvalidInput,
    InvalidParameter,
    ModelFailed,
    NotFound,
    PermissionDenied,
)
from interplay.jobs.index_sources import IndexItem, list_items, read_image
from interplay.jobs.work import DoneUnit, JobContext, JobParams, JobResult, ResultFile, Work
from interplay.media.images import probe
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.status import error_from_item

PathField = Annotated[str, StringConstraints(min_length=1, max_length=1024)]

REPORT, FAILED = "report.json", "failed.jsonl"
MEDIA_TYPES = {
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".jpg": "image/jpeg",
    ".png": "image/png",
    ".html": "text/html",
}

# Of one call: well below the largest message.
CALL_BYTES = 16 * 1024 * 1024
CALL_ITEMS = 32
CALL_TIMEOUT_S = 120.0
MAX_LIMIT = 20_000
# Of the network's last layer.
LAST_UNIT = 1279
# Errors that are an image's own. Whatever else comes from the server or from storage is the attempt's.
ITEM_ERRORS = (InvalidInput, ModelFailed, NotFound, PermissionDenied)

Vectors = NDArray[np.float32]


class ReportParams(JobParams):
    """Where an analysis leaves its files."""

    output: PathField | None = Field(
        None, description="Folder for the results; `analysis/` with the job's id in the first root if unset."
    )
    overwrite: bool = Field(False, description="Write into the `output` of an earlier job.")

    def paths(self) -> dict[str, str]:
        """The output, if one is named."""
        return {} if self.output is None else {"output": self.output}


class ImageSetParams(ReportParams):
    """Which images an analysis looks at."""

    input: PathField = Field(
        description="Folder of images, JSONL, COCO captions JSON, Parquet file or WebDataset shard, or a "
        "folder of the last two."
    )
    format: Literal["auto", "folder", "jsonl", "coco", "parquet", "webdataset"] = Field(
        "auto", description="Form of the input; `auto` goes by its name."
    )
    limit: int = Field(
        5000, ge=2, le=MAX_LIMIT, description="Most images; of more, so many are drawn by `seed`."
    )
    seed: int = Field(0, ge=0, le=2**31, description="The same seed, the same result.")
    batch_size: int = Field(
        64, ge=1, le=512, description="Images a unit: what is repeated at most after a crash."
    )

    def paths(self) -> dict[str, str]:
        """Input and output."""
        return {"input": self.input, **super().paths()}


class ReportFolder:
    """The folder of a job's results.

    Args:
        params: Of the job.
        context: Of the job.
    """

    def __init__(self, params: ReportParams, context: JobContext) -> None:
        self._datasets = context.datasets
        self._wanted = params.output or f"analysis/{context.job_id}"
        self._overwrite = params.overwrite

    def make(self) -> None:
        """Make the folder.

        Raises:
            PermissionDenied: It is outside the roots.
            Conflict: It holds the report of an earlier job.
        """
        self._datasets.make_folder(self._wanted, name="params.output")
        if not self._overwrite and self._datasets.size(self.path(REPORT)) is not None:
            raise Conflict(
                f"{self._wanted!r} holds the report of an earlier job: choose another folder or set "
                "overwrite",
                field="params.output",
            )

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all."""
        with self._datasets.write(self.path(name), name="params.output") as stream:
            stream.write(content)

    def write_json(self, name: str, value: Any) -> None:
        """Write a JSON file."""
        self.write(name, json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n")

    def read(self, name: str, max_bytes: int) -> bytes:
        """Bytes of a file."""
        return self._datasets.read_bytes(self.path(name), max_bytes=max_bytes, name="output")

    def result(self, summary: dict[str, Any], names: Sequence[str]) -> JobResult:
        """The job's result with those files that there are."""
        files = []
        for name in names:
            size = self._datasets.size(self.path(name))
            if size is not None:
                media_type = MEDIA_TYPES[name[name.rindex(".") :]]
                files.append(ResultFile(name=name, media_type=media_type, bytes=size))
        return JobResult(summary=summary, output=self.url, files=files)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._datasets.resolve(self._wanted, name="params.output").url

    def path(self, name: str) -> str:
        """Where a file is."""
        return f"{self.url.rstrip('/')}/{name}"


@dataclass(frozen=True)
class SeenImage:
    """An image of a unit, with the bytes that were read."""

    item: IndexItem
    content: bytes


@dataclass(frozen=True)
class Found:
    """An image and what ``look`` said of it."""

    item: IndexItem
    answer: dict[str, Any]


class ImageSetWork(Work):
    """One attempt at an analysis, or a helper's part in one.

    Args:
        params: Which images.
        context: Of the job.
    """

    # Name of the picture that `report` writes.
    picture: str
    # Fewer images than this make no picture.
    least = 2

    def __init__(self, params: ImageSetParams, context: JobContext) -> None:
        self._set = params
        self.datasets = context.datasets
        self.client = context.models.client("embedding")
        self.folder = ReportFolder(params, context)

    @abstractmethod
    def look(self, images: Sequence[SeenImage]) -> list[dict[str, Any] | InterplayError]:
        """What the server says of some images: JSON values, or the errors of single images."""

    @abstractmethod
    def report(self, found: list[Found]) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
        """The picture, the report, and its few main figures, from the images that were seen."""

    def check(self) -> None:
        """See that the parameters make sense to the server, before any work is done."""

    def plan(self) -> list[list[Any]]:
        """Units of ``[id, where, facts]``.

        Raises:
            PermissionDenied, NotFound, InvalidParameter: Input or output cannot be used.
            Conflict: The output holds the report of an earlier job.
        """
        self.folder.make()
        self.check()
        items = list(list_items(self.datasets, self._set.input, self._set.format))
        if len(items) < self.least:
            raise InvalidParameter(
                f"there are {len(items)} images in {self._set.input!r}; at least {self.least} are needed",
                field="params.input",
            )
        if len(items) > self._set.limit:
            rng = random.Random(self._set.seed)
            items = [items[n] for n in sorted(rng.sample(range(len(items)), self._set.limit))]
        rows = [[item.id, item.where, _plain(item.facts)] for item in items]
        size = self._set.batch_size
        return [rows[start : start + size] for start in range(0, len(rows), size)]

    def run_unit(self, items: list[Any]) -> list[Any]:
        """Ask about the images of a unit; while the server works on some, the next are read."""
        outcomes: dict[int, Any] = {}
        calls = self._calls([IndexItem(*item) for item in items], outcomes)
        with ThreadPoolExecutor(1, thread_name_prefix="read") as pool:
            upcoming = pool.submit(next, calls, None)
            while (call := upcoming.result()) is not None:
                upcoming = pool.submit(next, calls, None)
                numbers, images = call
                for number, answer in zip(numbers, self.look(images), strict=True):
                    outcomes[number] = failure(answer) if isinstance(answer, InterplayError) else answer
        return [outcomes[number] for number in range(len(items))]

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Write the picture, what failed and, last, the report."""
        found, failed = [], []
        for unit in units:
            for item, outcome in zip(unit.items, unit.results, strict=True):
                if "error" in outcome:
                    failed.append({"id": item[0], **item[1], "error": outcome["error"]})
                else:
                    found.append(Found(IndexItem(*item), outcome))
        if len(found) < self.least:
            reason = f": {failed[0]['error']['message']}" if failed else ""
            raise InvalidInput(
                f"of {len(found) + len(failed)} images {len(found)} could be used; at least {self.least} "
                f"are needed{reason}"
            )
        picture, report, summary = self.report(found)
        lines = [json.dumps(line, ensure_ascii=False) + "\n" for line in failed]
        self.folder.write(FAILED, "".join(lines).encode())
        self.folder.write(self.picture, picture)
        counts = {"images": len(found), "failed": len(failed)}
        facts = {"input": self._set.input, "seed": self._set.seed}
        self.folder.write_json(REPORT, {**counts, **facts, **summary, **report})
        return self.folder.result({**counts, **summary}, (self.picture, REPORT, FAILED))

    def _calls(
        self, items: list[IndexItem], outcomes: dict[int, Any]
    ) -> Iterator[tuple[list[int], list[SeenImage]]]:
        """Images in portions of one call; those that cannot be read fail here."""
        numbers: list[int] = []
        images: list[SeenImage] = []
        size = 0
        for number, item in enumerate(items):
            try:
                content = read_image(self.datasets, item.where)
                probe(content)
            except ITEM_ERRORS as error:
                outcomes[number] = failure(error)
                continue
            if images and (size + len(content) > CALL_BYTES or len(images) == CALL_ITEMS):
                yield numbers, images
                numbers, images, size = [], [], 0
            numbers.append(number)
            images.append(SeenImage(item, content))
            size += len(content)
        if images:
            yield numbers, images

    # What several kinds ask the server.

    def embed_images(self, images: Sequence[SeenImage]) -> list[str | InterplayError]:
        """Packed vectors of images, or the errors of single ones."""
        request = pb.EmbedImageRequest(images=[common_pb2.Image(content=image.content) for image in images])
        try:
            response = self.client.call(self.client.stub.EmbedImage, request, timeout_s=CALL_TIMEOUT_S)
        except ITEM_ERRORS as error:
            if len(images) > 1:
                raise
            return [error]
        answers: list[str | InterplayError] = []
        for result in response.results:
            if result.HasField("error"):
                answers.append(own_error(result.error))
            else:
                answers.append(pack(np.frombuffer(result.vector.values, dtype="<f4")))
        return answers

    def embed_texts(self, texts: Sequence[str]) -> tuple[Vectors, list[pb.Understood]]:
        """Vectors of at most 256 texts, (N, D), and how they were understood."""
        request = pb.EmbedTextRequest(texts=[pb.Text(content=text) for text in texts])
        response = self.client.call(self.client.stub.EmbedText, request, timeout_s=CALL_TIMEOUT_S)
        vectors = [np.frombuffer(vector.values, dtype="<f4") for vector in response.vectors]
        return np.stack(vectors), list(response.understood)


def own_error(message: common_pb2.ItemError) -> InterplayError:
    """The error of one image.

    Raises:
        InterplayError: It is one that trying again may mend, so the whole unit is to be tried again.
    """
    error = error_from_item(message)
    if error.row.retryable:
        raise error
    return error


def failure(error: InterplayError) -> dict[str, Any]:
    """An image's result when there is nothing to say but what went wrong."""
    return {"error": {"reason": error.row.reason, "message": error.message}}


def pack(values: NDArray[Any]) -> str:
    """Numbers as text for the job table: 16-bit floats, little-endian, base64."""
    return base64.b64encode(values.astype("<f2").tobytes()).decode()


def unpack(texts: Iterable[str]) -> Vectors:
    """Rows that were packed, (N, D)."""
    return np.stack([np.frombuffer(base64.b64decode(text), dtype="<f2") for text in texts]).astype(np.float32)


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as JSON values: times and the like become text."""
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=str, ensure_ascii=False))
    return plain
