"""Snapshots that the server keeps and receives: files in ``FOLDER/INDEX/ID``.

They outlive their index, so that one dropped by mistake can be had back. A file that is sent is kept
without a name until the index is made of it, so nothing of it is left when the process dies.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TypeVar

from interplay.errors import (
    Conflict,
    InterplayError,
    InvalidInput,
    InvalidParameter,
    NotFound,
    Overloaded,
    PayloadTooLarge,
)
from interplay.index.catalogue import NAME_PATTERN, IndexInfo, Spec
from interplay.index.snapshots import (
    SnapshotFacts,
    check_free,
    check_room,
    describe,
    explained,
    read_header,
    restore_snapshot,
    write_snapshot,
)
from interplay.rpc.common.v1 import index_pb2 as pb
from interplay.serving.indexes.indexes import Indexes
from interplay.serving.indexes.settings import IndexSettings
from interplay.telemetry.logging import get_logger

log = get_logger(__name__)

CHUNK_BYTES = 1024 * 1024
_ID_PATTERN = re.compile(r"^[0-9]{8}t[0-9]{6}z-[0-9a-f]{8}$")
# Snapshots and restores at a time: each takes a core and room on the disk.
_AT_ONCE = 2
# An embedded index takes up to four times its snapshot while it is optimised.
_INDEX_FACTOR = 4
# After so many bytes a head that has not ended is none.
_HEAD_BYTES = 64 * 1024
T = TypeVar("T")


@dataclass(frozen=True)
class Kept:
    """A snapshot that the server keeps.

    Attributes:
        index: It was made of.
        id: Of it.
        file: Where it is.
        facts: What it says of itself.
    """

    index: str
    id: str
    file: Path
    facts: SnapshotFacts


def open_snapshots(settings: IndexSettings, indexes: Indexes, part: str = "") -> Snapshots:
    """The snapshots of indexes that ``open_indexes`` opened with the same ``part``."""
    return Snapshots(
        settings.state_dir / part / "snapshots",
        indexes,
        max_bytes=settings.max_snapshot_bytes,
        embedded=settings.qdrant_url is None,
    )


class Snapshots:
    """Makes, keeps, sends and restores snapshots.

    Args:
        folder: Where they are; made if it is not there.
        indexes: The indexes.
        max_bytes: Largest file that is taken.
        embedded: Whether indexes are on the same disk as the snapshots.
    """

    def __init__(self, folder: Path, indexes: Indexes, *, max_bytes: int, embedded: bool) -> None:
        self._folder = folder
        self._indexes = indexes
        self._max_bytes = max_bytes
        self._factor = _INDEX_FACTOR if embedded else 0
        self._running = 0
        self._closed = threading.Event()
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="snapshot")
        for partial in folder.glob("*/*.part"):
            partial.unlink(missing_ok=True)

    def close(self) -> None:
        """Give up what is being restored, and wait for what is being made."""
        self._closed.set()
        self._pool.shutdown(wait=True)

    async def create(self, index: str) -> Kept:
        """Write an index into a file.

        Raises:
            NotFound: No such index.
            NoRoom: The disk is full.
            Overloaded: Others are being made.
        """
        _check_name(index)

        def make() -> Kept:
            self._indexes.catalogue.spec(index)
            folder = self._folder / index
            folder.mkdir(parents=True, exist_ok=True)
            made = f"{datetime.now(UTC):%Y%m%dt%H%M%Sz}-{secrets.token_hex(4)}"
            return Kept(
                index, made, folder / made, write_snapshot(self._indexes.catalogue, index, folder / made)
            )

        with self._place():
            kept = await self._run(make)
        log.info("snapshot_made", index=index, id=kept.id, entries=kept.facts.entries, bytes=kept.facts.size)
        return kept

    async def all(self, index: str) -> list[Kept]:
        """Snapshots of an index, newest first.

        Raises:
            NotFound: Neither such an index nor snapshots of one.
        """
        _check_name(index)

        def found() -> list[Kept]:
            kept = []
            for file in sorted(self._files(index), reverse=True):
                with suppress(InterplayError, FileNotFoundError):  # damaged or just removed
                    kept.append(Kept(index, file.name, file, describe(file)))
            if not kept:
                self._indexes.catalogue.spec(index)
            return kept

        return await self._indexes.read(found)

    async def find(self, index: str, snapshot: str) -> Kept:
        """One snapshot.

        Raises:
            NotFound: There is none.
        """
        _check_name(index)
        file = self._folder / index / snapshot
        if _ID_PATTERN.fullmatch(snapshot):
            with suppress(FileNotFoundError):
                return await self._indexes.read(lambda: Kept(index, snapshot, file, describe(file)))
        known = ", ".join(sorted((found.name for found in self._files(index)), reverse=True)[:10])
        raise NotFound(f"no snapshot {snapshot!r:.80} of index {index!r}; there are: {known or 'none'}")

    async def delete(self, index: str, snapshot: str) -> None:
        """Remove a snapshot; downloads in progress go on.

        Raises:
            NotFound: There is none.
        """
        kept = await self.find(index, snapshot)
        await self._indexes.read(lambda: kept.file.unlink(missing_ok=True))

    async def content(self, kept: Kept) -> AsyncIterator[bytes]:
        """A snapshot's bytes, in pieces."""
        with await self._indexes.read(lambda: kept.file.open("rb")) as stream:
            while piece := await self._indexes.read(lambda: stream.read(CHUNK_BYTES)):
                yield piece

    async def restore(
        self, target: pb.Restore, pieces: AsyncIterator[bytes]
    ) -> AsyncIterator[IndexInfo | None]:
        """Make an index of a snapshot that is kept, or of one that is sent.

        Args:
            target: What to do.
            pieces: The file's bytes, if none is named.

        Yields:
            None when the head of the file is right, and the index in the end.

        Raises:
            InvalidInput: The file is no snapshot, truncated or corrupt.
            PayloadTooLarge: It is larger than is taken.
            Conflict: It is of another model, or an index may not be replaced.
            NotFound: No such snapshot is kept.
            NoRoom: The disk is full, or would be.
            Overloaded: Others are being restored.
        """
        _check_name(target.index)
        with self._place():
            await self._run(lambda: check_free(self._indexes.catalogue, target.index, replace=target.replace))
            if target.id:
                kept = await self.find(target.of or target.index, target.id)
                self._check_model(kept.facts.spec)
                yield None
                source: IO[bytes] = await self._run(lambda: kept.file.open("rb"))
            else:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._check_size(target.bytes, f"{target.bytes:,}")
                check_room(self._folder, target.bytes * (1 + self._factor), "restoring this snapshot")
                source = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
                try:
                    await self._receive(source, pieces, _HEAD_BYTES)
                    await self._run(lambda: self._check_head(source))
                    yield None
                    received = await self._receive(source, pieces)
                    if target.bytes and received != target.bytes:
                        raise InvalidInput(f"{received:,} bytes came of {target.bytes:,}", field="body")
                except BaseException:
                    source.close()
                    raise
            info = await self._restored(target, source)
            self._indexes.measured(info)
            log.info("snapshot_restored", index=target.index, entries=info.entries)
            yield info

    async def _receive(
        self, source: IO[bytes], pieces: AsyncIterator[bytes], enough: int | None = None
    ) -> int:
        """Write what comes to the end of a file, until there is enough; returns how large the file is."""
        size = source.seek(0, os.SEEK_END)
        while enough is None or size < enough:
            piece = await anext(pieces, None)
            if piece is None:
                break
            size += len(piece)
            self._check_size(size, f"more than {self._max_bytes:,}")
            await self._run(lambda piece=piece: self._keep(source, piece))  # type: ignore[misc]
        return size

    def _keep(self, source: IO[bytes], piece: bytes) -> None:
        with explained(self._folder):
            source.write(piece)
            source.flush()

    def _check_head(self, source: IO[bytes]) -> None:
        if not source.tell():
            raise InvalidInput("neither a snapshot nor the id of one was given", field="snapshot")
        self._check_model(read_header(source)[0])

    async def _restored(self, target: pb.Restore, source: IO[bytes]) -> IndexInfo:
        given_up = threading.Event()

        def make() -> IndexInfo:
            with source, explained(self._folder):
                size = source.seek(0, os.SEEK_END)
                check_room(self._folder, size * self._factor, "restoring this snapshot")
                return restore_snapshot(
                    self._indexes.catalogue,
                    target.index,
                    source,
                    replace=target.replace,
                    cancelled=lambda: given_up.is_set() or self._closed.is_set(),
                )

        try:
            return await self._run(make)
        finally:
            given_up.set()

    def _check_size(self, size: int, shown: str) -> None:
        if size > self._max_bytes:
            raise PayloadTooLarge(
                f"the snapshot has {shown} bytes; the limit is {self._max_bytes:,}",
                field="body",
                metadata={"limit": str(self._max_bytes), "value": str(size)},
            )

    def _check_model(self, spec: Spec) -> None:
        ours = self._indexes.spec("any", "any")
        if spec.dimension != ours.dimension:
            raise Conflict(
                f"the snapshot's vectors have {spec.dimension} numbers, and those of this server's model "
                f"{ours.dimension}; build the index again"
            )
        if spec.space != ours.space:
            raise Conflict(
                f"the snapshot was made with the {self._indexes.model.space_name} {spec.space:.80}, and this "
                f"server has {ours.space}; build the index again"
            )

    def _files(self, index: str) -> list[Path]:
        with suppress(FileNotFoundError):
            return [file for file in (self._folder / index).iterdir() if _ID_PATTERN.fullmatch(file.name)]
        return []

    @contextmanager
    def _place(self) -> Iterator[None]:
        if self._running >= _AT_ONCE:
            raise Overloaded(
                f"{self._running} snapshots are being made or restored; the limit is {_AT_ONCE}",
                retry_after_s=5,
                metadata={"limit": str(_AT_ONCE), "value": str(self._running)},
            )
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1

    async def _run(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, function)


def snapshot_message(kept: Kept) -> pb.Snapshot:
    """A snapshot for the wire."""
    message = pb.Snapshot(
        index=kept.index,
        id=kept.id,
        entries=kept.facts.entries,
        bytes=kept.facts.size,
        dimension=kept.facts.spec.dimension,
        space=kept.facts.spec.space,
    )
    message.created.FromDatetime(kept.facts.created)
    return message


def _check_name(index: str) -> None:
    """A name becomes a path here, so it must be one.

    Raises:
        InvalidParameter: It is none.
    """
    if not NAME_PATTERN.fullmatch(index):
        raise InvalidParameter(
            f"name {index!r:.80} must be lower-case letters and digits, parted by single hyphens or "
            "underscores, and at most 63 characters long",
            field="name",
        )
