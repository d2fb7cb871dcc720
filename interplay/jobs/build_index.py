"""Job kind ``build_index``: make an index of a data set's images, to be searched by words and pictures.

The images are read once and sent, in batches, to the server of every capability named, into a generation
of its index that is named after the job; the index that answers meanwhile is not touched. When all is in,
the new generations are optimised and swapped in, one capability after the other. Killed at any moment, the
job goes on where it was: what is in a generation is only written again, under the same ids, and one that is
published already stays as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from interplay.capabilities import DEFAULT_INDEX_CAPABILITY, check_keeps_indexes, index_capabilities
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
from interplay.rpc.common.v1 import index_pb2 as pb
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


class _Image(NamedTuple):
    """An image of a unit that was read: its place in the unit, where it is from, and what is sent of it."""

    number: int
    item: IndexItem
    entry: pb.NewEntry


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
    capabilities: list[Annotated[str, AfterValidator(check_keeps_indexes)]] = Field(
        [DEFAULT_INDEX_CAPABILITY],
        min_length=1,
        description="Whose index of this name is built; each image is read once and sent to them in this "
        "order. If one refuses an image, it is not sent to those after it, stays with those before it, and "
        "counts as failed. The summary says how many each has.",
        json_schema_extra={
            "items": {"type": "string", "enum": list(index_capabilities())},
            "uniqueItems": True,
        },
    )
    batch_size: int = Field(
        512, ge=1, le=1024, description="Images a unit: what is repeated at most after a crash."
    )

    @field_validator("capabilities")
    @classmethod
    def _check_unique(cls, value: list[str]) -> list[str]:
        for name in value:
            if value.count(name) > 1:
                raise ValueError(f"{name!r} is there more than once")
        return value

    def paths(self) -> dict[str, str]:
        """Input and output."""
        return {"input": self.input, "output": self.output}


class BuildIndexWork(Work):
    """One attempt at the job, or a helper's part in one."""

    def __init__(self, params: BuildIndex, context: JobContext) -> None:
        self._params = params
        self._datasets = context.datasets
        self._clients = {name: context.models.client(name) for name in params.capabilities}
        # Names of generations are parted by single hyphens; ids of jobs are hexadecimal.
        self._generation = f"job-{context.job_id.replace('-', '')}"

    def plan(self) -> list[list[Any]]:
        """Units of ``[id, where, facts]``; begins the generations.

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
        request = pb.BeginBuildRequest(index=self._params.index, generation=self._generation)
        for client in self._clients.values():
            client.call(client.indexes.BeginBuild, request)
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
                under_way.append(pool.submit(self._add, call, outcomes))
            while under_way:
                under_way.popleft().result()
        return [outcomes[number] for number in range(len(items))]

    def finish(self, units: Iterable[DoneUnit]) -> JobResult:
        """Swap the generations in; write the lists, the contact sheet and, last, the summary."""
        published = self._publish()
        total = unreadable = 0
        refused = dict.fromkeys(self._clients, 0)
        examples: list[tuple[str, str]] = []
        with ExitStack() as stack:
            stream = stack.enter_context(self._datasets.write(self._path(FAILED), name="params.output"))
            for unit in units:
                for item, outcome in zip(unit.items, unit.results, strict=True):
                    total += 1
                    if error := outcome.get("error"):
                        if "capability" in error:
                            refused[error["capability"]] += 1
                        else:
                            unreadable += 1
                        line = {"id": item[0], **item[1], "error": error}
                        stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")
                    elif outcome["thumbnail"] and len(examples) < _EXAMPLES:
                        examples.append((outcome["thumbnail"], item[0]))
        self._draw(examples)
        each, added = {}, total - unreadable
        for name, index in published.items():
            added -= refused[name]  # and those after it did not get them
            each[name] = {"added": added, "entries": index.entries, "space": index.space}
        first = next(iter(published.values()))
        summary = {
            "index": self._params.index,
            "generation": self._generation,
            "added": added,
            "failed": total - added,
            "entries": first.entries,
            "space": first.space,
            "input": self._params.input,
            "capabilities": each,
        }
        with self._datasets.write(self._path(SUMMARY), name="params.output") as stream:
            stream.write(json.dumps(summary, indent=2).encode() + b"\n")
        return JobResult(summary=summary, output=self._folder, files=list(self._files()))

    def _publish(self) -> dict[str, pb.Index]:
        """Swap the generations in that are not yet; the indexes by capability."""
        request = pb.PublishBuildRequest(index=self._params.index, generation=self._generation)
        return {
            name: client.call(client.indexes.PublishBuild, request, timeout_s=_PUBLISH_TIMEOUT_S).index
            for name, client in self._clients.items()
        }

    def _calls(self, items: list[IndexItem], outcomes: dict[int, Any]) -> Iterator[list[_Image]]:
        """Images in portions of one call; those that cannot be read fail here."""
        images: list[_Image] = []
        size = 0
        for number, item in enumerate(items):
            try:
                content = read_image(self._datasets, item.where)
                probe(content)
                entry = entry_of(item, self._thumbnail_url(item.id) if self._params.thumbnail_px else "")
            except _ITEM_ERRORS as error:
                outcomes[number] = _failure(error)
                continue
            if images and (size + len(content) > _CALL_BYTES or len(images) == _CALL_ITEMS):
                yield images
                images, size = [], 0
            new = pb.NewEntry(entry=entry, image=common_pb2.Image(content=content))
            images.append(_Image(number, item, new))
            size += len(content)
        if images:
            yield images

    def _add(self, images: list[_Image], outcomes: dict[int, Any]) -> None:
        """Send images to every capability; what one refuses is not sent to those after it."""
        thumbnail_px = self._params.thumbnail_px
        for name, client in self._clients.items():
            if not images:
                return
            request = pb.UpsertRequest(
                index=self._params.index,
                generation=self._generation,
                entries=[image.entry for image in images],
                thumbnail_px=thumbnail_px,
            )
            response = client.call(client.indexes.Upsert, request, timeout_s=_CALL_TIMEOUT_S)
            kept = []
            for image, result in zip(images, response.results, strict=True):
                if result.HasField("error"):
                    error = error_from_item(result.error)
                    if error.row.retryable:
                        raise error
                    outcomes[image.number] = _failure(error, name)
                    continue
                kept.append(image)
                if result.thumbnail:
                    url = self._thumbnail_url(image.item.id)
                    with self._datasets.write(url, name="params.output") as stream:
                        stream.write(result.thumbnail)
                    outcomes[image.number] = {"thumbnail": url}
                else:
                    outcomes.setdefault(image.number, {"thumbnail": ""})
            images, thumbnail_px = kept, 0  # the first one has made them

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


def _failure(error: InterplayError, capability: str | None = None) -> dict[str, Any]:
    """The outcome of an image that could not be read, or that a capability refused."""
    found = {"reason": error.row.reason, "message": error.message}
    return {"error": found if capability is None else {**found, "capability": capability}}


KIND = JobKind(
    name="build_index",
    summary="Make an index of a data set's images, to be searched by words and pictures",
    params=BuildIndex,
    example={"index": "photos", "input": "photos", "output": "photos-index"},
    start=BuildIndexWork,
    capabilities=index_capabilities(),
    parallel=4,
)
