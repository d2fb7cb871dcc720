"""An index in one file, which either kind of catalogue writes and reads.

    interplay-index-snapshot 1\\n
    JSON\\n                     the generation's ``Spec`` and when the snapshot was made
    block …                    <II count, bytes of payloads>, payloads as a JSON list, vectors as float32
    block of count 0           JSON of a fixed length: entries in all, SHA-256 of everything before it

Entries, not the engine's own files: so a file moves between embedded indexes and a Qdrant cluster, outlives
the engine's versions, and nothing of it is believed before it has been checked.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import struct
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

import numpy as np

from interplay.errors import Cancelled, Conflict, InterplayError, InvalidInput, NoRoom
from interplay.index.catalogue import RESTORED, Catalogue, IndexInfo, Spec
from interplay.index.entries import Entry

_MAGIC = b"interplay-index-snapshot 1\n"
_BLOCK = struct.Struct("<II")
_TAIL_BYTES = 256
_MAX_HEADER_BYTES = 64 * 1024
# Entries of a block, and the most that a reader takes: an entry has up to some 60 kB of JSON.
_BLOCK_ENTRIES = 256
_MAX_PAYLOAD_BYTES = 64 * 1024 * 1024
_MAX_DIMENSION = 65_536
_READ_BYTES = 1024 * 1024
# A restore that is older and not done was killed with its process.
_ABANDONED = timedelta(days=1)
# Left free on the disk when a snapshot is written.
_SPARE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class SnapshotFacts:
    """What a snapshot says of itself.

    Attributes:
        spec: Of the generation it was made from.
        created: When it was made.
        entries: How many it has.
        size: Of the file, in bytes.
    """

    spec: Spec
    created: datetime
    entries: int
    size: int


def write_snapshot(catalogue: Catalogue, name: str, target: Path) -> SnapshotFacts:
    """Write an index into a file, which is there whole or not at all.

    On an embedded index online writes wait meanwhile, so that each is in it or not. On a Qdrant server they
    go on: an entry is in it or not, and of a write of several some may be.

    Args:
        catalogue: Has the index.
        name: Of the index.
        target: File to write, in a folder that exists.

    Raises:
        NotFound: No such index.
        NoRoom: The disk is full, or would be.
        Conflict: A Qdrant server's index was rebuilt meanwhile.
    """
    partial = target.with_name(f"{target.name}.part")
    try:
        with explained(target.parent), partial.open("wb") as stream:
            with catalogue.frozen(name) as (spec, index):
                check_room(
                    target.parent, index.count() * (4 * index.dimension + 256), f"a snapshot of {name!r}"
                )
                _write(stream, spec, index.scroll(page=_BLOCK_ENTRIES))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return describe(target)


def restore_snapshot(
    catalogue: Catalogue,
    name: str,
    source: IO[bytes],
    *,
    replace: bool = False,
    cancelled: Callable[[], bool] = lambda: False,
) -> IndexInfo:
    """Make an index of a snapshot. The index that answered so far does so until the new one is whole.

    The index is then as it was when the snapshot was made: what was added or removed since is gone.

    Args:
        catalogue: Gets the index.
        name: Of the index to make or to replace.
        source: The file, which can be read again from its start; checked in full first.
        replace: Whether an index of that name may be replaced.
        cancelled: Asked now and then; true ends it with nothing changed.

    Raises:
        InvalidParameter: The name is none.
        InvalidInput: The file is no snapshot, truncated or corrupt.
        Conflict: There is an index of that name and it may not be replaced.
        Cancelled: ``cancelled`` said so.
    """
    spec = verify(source).spec
    made = Spec.new(name, f"{RESTORED}{uuid.uuid4().hex}", spec.dimension, spec.space)
    check_free(catalogue, name, replace=replace)
    _sweep(catalogue)
    catalogue.begin(made)
    try:
        with catalogue.building(name, made.generation) as index:
            for entries in _blocks(source):
                if cancelled():
                    raise Cancelled("the restore was given up")
                index.upsert(entries)
        check_free(catalogue, name, replace=replace)
        return catalogue.publish(name, made.generation, carry=False)
    except BaseException:
        catalogue.abort(name, made.generation)
        raise


def check_free(catalogue: Catalogue, name: str, *, replace: bool) -> None:
    """Whether an index may be made under a name.

    Raises:
        Conflict: There is one that may not be replaced.
    """
    if not replace and any(info.spec.name == name for info in catalogue.all()):
        raise Conflict(f"there is an index {name!r} already; say replace to put the snapshot in its place")


def verify(source: IO[bytes]) -> SnapshotFacts:
    """Read a snapshot from end to end, without believing any of it.

    Raises:
        InvalidInput: It is none, truncated or corrupt.
    """
    facts = describe(source)
    source.seek(0)
    digest, left = hashlib.sha256(), facts.size - _BLOCK.size - _TAIL_BYTES
    while left:
        piece = source.read(min(left, _READ_BYTES))
        if not piece:
            raise _corrupt("it ends too early")
        digest.update(piece)
        left -= len(piece)
    if digest.hexdigest() != _read_tail(source)["sha256"]:
        raise _corrupt("its contents do not have the checksum that its end says")
    return facts


def describe(source: Path | IO[bytes]) -> SnapshotFacts:
    """What a snapshot says of itself, from its two ends alone.

    Raises:
        InvalidInput: It is no snapshot or truncated.
    """
    if isinstance(source, Path):
        with source.open("rb") as stream:
            return describe(stream)
    size = source.seek(0, os.SEEK_END)
    header = read_header(source)
    if size < source.tell() + _BLOCK.size + _TAIL_BYTES:
        raise _corrupt("it is truncated")
    source.seek(size - _BLOCK.size - _TAIL_BYTES)
    tail = _read_tail(source)
    return SnapshotFacts(header[0], header[1], tail["entries"], size)


def read_header(source: IO[bytes]) -> tuple[Spec, datetime]:
    """Specification and time of making, from a snapshot's start; the rest need not be there yet.

    Raises:
        InvalidInput: It is no snapshot.
    """
    source.seek(0)
    if source.read(len(_MAGIC)) != _MAGIC:
        raise InvalidInput(
            "this is no snapshot of an index, or one of another version of Interplay", field="body"
        )
    try:
        header = json.loads(source.readline(_MAX_HEADER_BYTES))
        spec, created = Spec(**header["spec"]), datetime.fromisoformat(header["created"])
        if not (1 <= spec.dimension <= _MAX_DIMENSION and isinstance(spec.space, str)):
            raise ValueError(spec)
    except (ValueError, TypeError, KeyError) as error:
        raise _corrupt("its head cannot be read") from error
    return spec, created


def check_room(folder: Path, needed: int, what: str) -> None:
    """Whether a disk has room, with some to spare.

    Raises:
        NoRoom: It has not.
    """
    free = shutil.disk_usage(folder).free
    if needed + _SPARE_BYTES > free:
        raise NoRoom(
            f"{what} needs about {needed:,} bytes and {_SPARE_BYTES:,} to spare; "
            f"the server's disk has {free:,} free",
            metadata={"limit": str(free), "value": str(needed)},
        )


@contextmanager
def explained(folder: Path) -> Iterator[None]:
    """A disk that is full is an error that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise NoRoom(
            f"the server's disk is full; {shutil.disk_usage(folder).free:,} bytes are free"
        ) from error


def _write(stream: IO[bytes], spec: Spec, entries: Iterator[Entry]) -> None:
    digest = hashlib.sha256()

    def put(*parts: bytes) -> None:
        for part in parts:
            stream.write(part)
            digest.update(part)

    header = {"spec": spec.as_dict(), "created": datetime.now(UTC).isoformat(timespec="milliseconds")}
    put(_MAGIC, json.dumps(header).encode(), b"\n")
    total = 0
    block: list[Entry] = []

    def put_block() -> None:
        payloads = json.dumps([entry.payload() for entry in block], ensure_ascii=False).encode()
        vectors = np.stack([entry.vector for entry in block]).astype("<f4").tobytes()
        put(_BLOCK.pack(len(block), len(payloads)), payloads, vectors)

    for entry in entries:
        block.append(entry)
        if len(block) == _BLOCK_ENTRIES:
            put_block()
            total, block = total + len(block), []
    if block:
        put_block()
        total += len(block)
    tail = json.dumps({"entries": total, "sha256": digest.hexdigest()}).encode()
    stream.write(_BLOCK.pack(0, _TAIL_BYTES) + tail.ljust(_TAIL_BYTES))


def _blocks(source: IO[bytes]) -> Iterator[list[Entry]]:
    """Entries of a snapshot whose checksum was right; its contents may still be anything.

    Raises:
        InvalidInput: They are no entries.
    """
    spec, _ = read_header(source)
    seen = 0
    while True:
        count, length = _BLOCK.unpack(_exactly(source, _BLOCK.size))
        if count == 0:
            break
        if count > _BLOCK_ENTRIES or length > _MAX_PAYLOAD_BYTES:
            raise _corrupt(f"a block says that it has {count:,} entries and {length:,} bytes")
        try:
            payloads = json.loads(_exactly(source, length))
            vectors = np.frombuffer(_exactly(source, 4 * count * spec.dimension), "<f4")
            rows = vectors.astype(np.float32).reshape(count, spec.dimension)
            if not isinstance(payloads, list) or len(payloads) != count or not np.isfinite(rows).all():
                raise ValueError("entries and vectors")
            entries = [_entry(payload, row) for payload, row in zip(payloads, rows, strict=True)]
        except (ValueError, TypeError, KeyError, AttributeError, InterplayError) as error:
            raise _corrupt(f"an entry from number {seen + 1:,} on cannot be read") from error
        seen += count
        yield entries


def _entry(payload: Any, vector: Any) -> Entry:
    """An entry with every field of its kind, whoever wrote the file."""
    entry = Entry.from_payload(payload, vector)
    texts = (entry.id, entry.uri, entry.caption, entry.thumbnail, *entry.tags)
    if not entry.id or not all(isinstance(text, str) for text in texts) or not isinstance(entry.extra, dict):
        raise ValueError(f"no entry: {payload!r:.80}")
    if entry.origin not in ("build", "online") or (entry.time is not None and entry.time.tzinfo is None):
        raise ValueError(f"no entry: {payload!r:.80}")
    return entry


def _read_tail(source: IO[bytes]) -> dict[str, Any]:
    """The last block, which comes next."""
    try:
        count, length = _BLOCK.unpack(_exactly(source, _BLOCK.size))
        tail = json.loads(_exactly(source, _TAIL_BYTES))
        if (count, length) != (0, _TAIL_BYTES) or not isinstance(tail["sha256"], str):
            raise ValueError(tail)
        return {"entries": int(tail["entries"]), "sha256": tail["sha256"]}
    except (ValueError, TypeError, KeyError) as error:
        raise _corrupt("it is truncated") from error


def _exactly(source: IO[bytes], count: int) -> bytes:
    content = source.read(count)
    if len(content) != count:
        raise _corrupt("it is truncated")
    return content


def _sweep(catalogue: Catalogue) -> None:
    """Remove what restores left whose process was killed."""
    for spec in catalogue.unfinished():
        age = datetime.now(UTC) - datetime.fromisoformat(spec.created)
        if spec.generation.startswith(RESTORED) and age > _ABANDONED:
            catalogue.abort(spec.name, spec.generation)


def _corrupt(how: str) -> InvalidInput:
    return InvalidInput(f"the snapshot is damaged: {how}", field="body")
