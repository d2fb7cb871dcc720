"""Job kind ``build_index``: make an index of a data set's images, to be searched by words and pictures.

The images are embedded by the embedding server, in batches, into a generation of the index that is named
after the job; the index that answers meanwhile is not touched. When all is in, the new generation is
optimised and swapped in. Killed at any moment, the job goes on where it was: what is in the generation
is only written again, under the same ids.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated, Any, Literal

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
from interplay.jobs.work import DoneUnit, JobContext, JobKind, JobParams, JobResult, ResultFile, Work
from interplay.media.draw import contact_sheet
from interplay.media.images import decode, encode_jpeg, probe
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.status import error_from_item

PathField = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
IndexName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+([-_][a-z0-9]+)*$", max_length=63)]

FAILED, SUMMARY, SHEET, THUMBNAILS = "failed.jsonl", "summary.json", "contact_sheet.jpg", "thumbnails"
MEDIA_TYPES = {FAILED: "application/jsonl", SUMMARY: "application/json", SHEET: "image/jpeg"}

_MAX_ITEMS = 5_000_000
# Of one call: well below the largest message.
_CALL_BYTES = 16 * 1024 * 1024
# While the server is at the end of one call, it has the next one already; both together take half of the
# images that it lets in at a time, and leave the rest to searches.
_CALL_ITEMS = 16
_CALLS = 2
_CALL_TIMEOUT_S = 120.0
# Optimising a million vectors takes minutes.
_PUBLISH_TIMEOUT_S = 3600.0
_EXAMPLES = 24
_ITEM_ERRORS = (InvalidInput, ModelFailed, NotFound, PermissionDenied)


class BuildIndex(JobParams):
    """Parameters of ``build_index``."""

    index: IndexName = Field(
        description="Name of the index; what it holds now answers until the job is done."
    )
    input: PathField = Field(
        description="Folder of images, JSONL, COCO captions JSON, Parquet file or WebDataset shard, or a "
        "folder of the last two."
    )
    output: PathField = Field(description="Folder for thumbnails and lists; made if it is not there.")
    format: Literal["auto", "folder", "jsonl", "coco", "parquet", "webdataset"] = Field(
        "auto", description="Form of the input; `auto` goes by its name."
    )
    thumbnail_px: int = Field(256, ge=0, le=512, description="Longer side of thumbnails; 0 for none.")
    overwrite: bool = Field(False, description="Write into the `output` of an earlier job.")
    batch_size: int = Field(
        512, ge=1, le=1024, description="Images a unit: what is repeated at most after a crash."
    )

    def paths(self) -> dict[str, str]:
        """Input and output."""
        return {"input": self.input, "output": self.output}


class BuildIndexWork(Work):
    """One attempt at the job, or a helper's part in one."""

    def __init__(self, params: BuildIndex, context: JobContext) -> None:
        self._params = params
        self._datasets = context.datasets
        self._client = context.models.client("embedding")
        # Names of generations are parted by single hyphens; ids of jobs are hexadecimal.
        self._generation = f"job-{context.job_id.replace('-', '')}"

    def plan(self) -> list[list[Any]]:
        """Units of ``[id, where, facts]``; begins the generation.

        Raises:
            PermissionDenied, NotFound, InvalidParameter: Input or output cannot be used.
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
        seen: set[str] = set()
        for item in list_items(self._datasets, self._params.input, self._params.format):
            if item.id in seen:
                raise InvalidParameter(f"the id {item.id!r} is there more than once", field="params.input")
            seen.add(item.id)
            items.append([item.id, item.where, _plain(item.facts)])
            if len(items) > _MAX_ITEMS:
                raise InvalidParameter(f"the input has more than {_MAX_ITEMS:,} images", field="params.input")
        if not items:
            raise InvalidParameter(f"there are no images in {self._params.input!r}", field="params.input")
        self._begin()
        size = self._params.batch_size
        return [items[start : start + size] for start in range(0, len(items), size)]

    def run_unit(self, items: list[Any]) -> list[Any]:
        """Embed and add the images of a unit; while the server works on some, the next are read."""
        outcomes: dict[int, Any] = {}
        under_way: deque[Future[None]] = deque()
        with ThreadPoolExecutor(_CALLS, thread_name_prefix="add") as pool:
            for call in self._calls([IndexItem(*item) for item in items], outcomes):
                if len(under_way) == _CALLS:
                    under_way.popleft().result()
                under_way.append(pool.submit(self._add, *call, outcomes))
            while under_way:
                under_way.popleft().result()
        return [outcomes[number] for number in range(len(items))]

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Swap the generation in; write the lists, the contact sheet and, last, the summary."""
        self._begin_again()
        request = pb.PublishBuildRequest(index=self._params.index, generation=self._generation)
        published = self._client.call(
            self._client.stub.PublishBuild, request, timeout_s=_PUBLISH_TIMEOUT_S
        ).index
        added = failed = 0
        examples: list[tuple[str, str]] = []
        with ExitStack() as stack:
            stream = stack.enter_context(self._datasets.write(self._path(FAILED), name="params.output"))
            for unit in units:
                for item, outcome in zip(unit.items, unit.results, strict=True):
                    if "error" in outcome:
                        failed += 1
                        line = {"id": item[0], **item[1], "error": outcome["error"]}
                        stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                        continue
                    added += 1
                    if outcome["thumbnail"] and len(examples) < _EXAMPLES:
                        examples.append((outcome["thumbnail"], item[0]))
        self._draw(examples)
        summary = {
            "index": self._params.index,
            "generation": self._generation,
            "added": added,
            "failed": failed,
            "entries": published.entries,
            "space": published.space,
            "input": self._params.input,
        }
        with self._datasets.write(self._path(SUMMARY), name="params.output") as stream:
            stream.write(json.dumps(summary, indent=2).encode() + b"\n")
        return JobResult(summary=summary, output=self._folder, files=list(self._files()))

    def _begin(self) -> None:
        request = pb.BeginBuildRequest(index=self._params.index, generation=self._generation)
        self._client.call(self._client.stub.BeginBuild, request)

    def _begin_again(self) -> None:
        """A finish that is repeated finds its generation published already, which is as well."""
        try:
            self._begin()
        except Conflict:
            return

    def _calls(
        self, items: list[IndexItem], outcomes: dict[int, Any]
    ) -> Iterator[tuple[list[int], list[IndexItem], list[pb.NewEntry]]]:
        """Images in portions of one call; those that cannot be read fail here."""
        numbers: list[int] = []
        entries: list[pb.NewEntry] = []
        size = 0
        for number, item in enumerate(items):
            try:
                content = read_image(self._datasets, item.where)
                probe(content)
                entry = entry_of(item, self._thumbnail_url(item.id) if self._params.thumbnail_px else "")
            except _ITEM_ERRORS as error:
                outcomes[number] = _failure(error)
                continue
            if entries and (size + len(content) > _CALL_BYTES or len(entries) == _CALL_ITEMS):
                yield numbers, [items[n] for n in numbers], entries
                numbers, entries, size = [], [], 0
            numbers.append(number)
            entries.append(pb.NewEntry(entry=entry, image=common_pb2.Image(content=content)))
            size += len(content)
        if entries:
            yield numbers, [items[n] for n in numbers], entries

    def _add(
        self, numbers: list[int], items: list[IndexItem], entries: list[pb.NewEntry], outcomes: dict[int, Any]
    ) -> None:
        request = pb.UpsertRequest(
            index=self._params.index,
            generation=self._generation,
            entries=entries,
            thumbnail_px=self._params.thumbnail_px,
        )
        response = self._client.call(self._client.stub.Upsert, request, timeout_s=_CALL_TIMEOUT_S)
        for number, item, result in zip(numbers, items, response.results, strict=True):
            if result.HasField("error"):
                error = error_from_item(result.error)
                if error.row.retryable:
                    raise error
                outcomes[number] = _failure(error)
                continue
            if result.thumbnail:
                with self._datasets.write(self._thumbnail_url(item.id), name="params.output") as stream:
                    stream.write(result.thumbnail)
            outcomes[number] = {"thumbnail": self._thumbnail_url(item.id) if result.thumbnail else ""}

    def _draw(self, examples: list[tuple[str, str]]) -> None:
        images, captions = [], []
        for thumbnail, name in examples:
            try:
                images.append(decode(self._datasets.read_bytes(thumbnail, max_bytes=1024 * 1024)))
            except InterplayError:
                continue  # a sheet without it is still of use
            captions.append(name.rpartition("/")[2])
        if images:
            with self._datasets.write(self._path(SHEET), name="params.output") as stream:
                stream.write(encode_jpeg(contact_sheet(images, captions)))

    def _files(self) -> Iterator[ResultFile]:
        for name, media_type in MEDIA_TYPES.items():
            size = self._datasets.size(self._path(name))
            if size is not None:
                yield ResultFile(name=name, media_type=media_type, bytes=size)

    @property
    def _folder(self) -> str:
        return self._datasets.resolve(self._params.output, name="params.output").url

    def _path(self, name: str) -> str:
        return f"{self._folder.rstrip('/')}/{name}"

    def _thumbnail_url(self, item_id: str) -> str:
        digest = hashlib.sha256(item_id.encode()).hexdigest()[:32]
        return self._path(f"{THUMBNAILS}/{digest[:2]}/{digest}.jpg")


def entry_of(item: IndexItem, thumbnail: str) -> pb.Entry:
    """An entry of facts: caption, tags, place (or latitude, longitude), time, uri; all others are extra.

    Raises:
        InvalidParameter: A fact is not of its kind.
    """
    facts = dict(item.facts)
    entry = pb.Entry(id=item.id, thumbnail=thumbnail)
    try:
        entry.uri = str(facts.pop("uri", "") or item.where.get("file", ""))
        caption = facts.pop("caption", "") or ""
        entry.caption = " ".join(map(str, caption)) if isinstance(caption, list) else str(caption)
        tags = facts.pop("tags", []) or []
        entry.tags.extend(tags.split() if isinstance(tags, str) else [str(tag) for tag in tags])
        place = facts.pop("place", None) or {}
        latitude = facts.pop("latitude", place.get("latitude", place.get("lat")))
        longitude = facts.pop("longitude", place.get("longitude", place.get("lon")))
        if latitude is not None and longitude is not None:
            entry.place.CopyFrom(common_pb2.LatLng(latitude=float(latitude), longitude=float(longitude)))
        if (time := facts.pop("time", None)) is not None:
            moment = datetime.fromisoformat(str(time))
            if moment.tzinfo is None:
                raise ValueError(f"time {time!r} has no offset from UTC")
            entry.time.FromDatetime(moment)
    except (ValueError, TypeError, AttributeError) as error:
        raise InvalidParameter(f"a fact of {item.id!r} cannot be used: {error}", field="facts") from error
    if facts:
        entry.extra_json = json.dumps(facts, ensure_ascii=False)
    return entry


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    """Facts as JSON values: times and the like become text."""
    plain: dict[str, Any] = json.loads(json.dumps(facts, default=_text, ensure_ascii=False))
    return plain


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _failure(error: InterplayError) -> dict[str, Any]:
    return {"error": {"reason": error.row.reason, "message": error.message}}


KIND = JobKind(
    name="build_index",
    summary="Make an index of a data set's images, to be searched by words and pictures",
    params=BuildIndex,
    example={"index": "photos", "input": "photos", "output": "photos-index"},
    start=BuildIndexWork,
    capabilities=("embedding",),
    parallel=4,
)
