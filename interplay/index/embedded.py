"""Embedded indexes: folders of Qdrant Edge shards, owned by one process.

    ROOT/NAME/CURRENT              name of the generation that answers; replaced by a rename
    ROOT/NAME/GENERATION/spec.json
    ROOT/NAME/GENERATION/shard/

A process killed at any moment leaves the old generation or the new one in CURRENT, whole either way.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from interplay.errors import Conflict, Unavailable
from interplay.index.catalogue import (
    RESTORED,
    IndexInfo,
    Spec,
    VectorIndex,
    carry_over,
    unknown_generation,
    unknown_index,
)
from interplay.index.edge import EdgeIndex
from interplay.index.plan import DEFAULT_PLAN, SearchPlan

_CURRENT = "CURRENT"
_SPEC = "spec.json"
_SHARD = "shard"


@dataclass
class _Generation:
    """An open generation and who is using it."""

    spec: Spec
    index: EdgeIndex
    folder: Path
    users: int = 0
    retired: bool = False


@dataclass
class _Named:
    """An index: the generation that answers, if any, and those being built."""

    current: _Generation | None = None
    building: dict[str, _Generation] = field(default_factory=dict)
    writes: threading.RLock = field(default_factory=threading.RLock)


class EmbeddedCatalogue:
    """See ``Catalogue``.

    Args:
        root: Folder of the indexes.
        plan: How they are searched.

    Raises:
        Unavailable: Another process has them open.
    """

    def __init__(self, root: Path, plan: SearchPlan = DEFAULT_PLAN) -> None:
        self._root = root
        self._plan = plan
        self._lock = threading.RLock()
        self._names: dict[str, _Named] = {}
        root.mkdir(parents=True, exist_ok=True)
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            self._open_all(folder)

    def all(self) -> list[IndexInfo]:
        """See ``Catalogue``."""
        with self._lock:
            names = sorted(name for name, named in self._names.items() if named.current)
        return [self.info(name) for name in names]

    def info(self, name: str) -> IndexInfo:
        """See ``Catalogue``."""
        with self._using(name) as generation:
            with self._lock:
                building = tuple(sorted(self._names[name].building))
            return IndexInfo(generation.spec, generation.index.count(), building)

    def spec(self, name: str) -> Spec:
        """See ``Catalogue``."""
        with self._using(name) as generation:
            return generation.spec

    @contextmanager
    def reading(self, name: str) -> Iterator[VectorIndex]:
        """See ``Catalogue``."""
        with self._using(name) as generation:
            yield generation.index

    @contextmanager
    def writing(self, name: str) -> Iterator[VectorIndex]:
        """See ``Catalogue``."""
        with self._named(name).writes, self._using(name) as generation:
            yield generation.index

    @contextmanager
    def frozen(self, name: str) -> Iterator[tuple[Spec, VectorIndex]]:
        """See ``Catalogue``."""
        with self._named(name).writes, self._using(name) as generation:
            yield generation.spec, generation.index

    def begin(self, spec: Spec) -> None:
        """See ``Catalogue``."""
        with self._lock:
            named = self._names.setdefault(spec.name, _Named())
            if named.current is not None and named.current.spec.generation == spec.generation:
                raise Conflict(f"generation {spec.generation} of index {spec.name} answers already")
            if (known := named.building.get(spec.generation)) is not None:
                known.spec.check_same(spec)
                return
            folder = self._root / spec.name / spec.generation
            if folder.exists():
                raise Unavailable(f"{spec.generation} of {spec.name} is still being removed", retry_after_s=1)
            index = self._make(spec, folder)
            named.building[spec.generation] = _Generation(spec, index, folder)

    @contextmanager
    def building(self, name: str, generation: str) -> Iterator[VectorIndex]:
        """See ``Catalogue``."""
        with self._lock:
            named = self._names.get(name)
            found = named.building.get(generation) if named else None
            if found is None:
                raise unknown_generation(name, generation)
            found.users += 1
        try:
            yield found.index
        finally:
            self._release(found)

    def unfinished(self) -> list[Spec]:
        """See ``Catalogue``."""
        with self._lock:
            return [
                generation.spec for named in self._names.values() for generation in named.building.values()
            ]

    def publish(self, name: str, generation: str, *, carry: bool = True) -> IndexInfo:
        """See ``Catalogue``."""
        named = self._named(name, answering=False)
        current = named.current
        if current is not None and current.spec.generation == generation:
            return self.info(name)
        with self.building(name, generation) as new:
            new.optimize()
            with named.writes:
                old = named.current
                same = old is not None and _space(old.spec) == _space(named.building[generation].spec)
                if carry and old is not None and same:
                    carry_over(old.index, new)
                new.flush()
                self._point_to(name, generation)
                with self._lock:
                    named.current = named.building.pop(generation)
                    if old is not None:
                        old.retired = True
                        old.users += 1
                if old is not None:
                    self._release(old)
        return self.info(name)

    def abort(self, name: str, generation: str) -> None:
        """See ``Catalogue``."""
        with self._lock:
            named = self._names.get(name)
            found = named.building.pop(generation, None) if named else None
            if found is None:
                return
            found.retired = True
            found.users += 1
            assert named is not None
            if named.current is None and not named.building:
                del self._names[name]
        self._release(found)

    def drop(self, name: str) -> None:
        """See ``Catalogue``."""
        named = self._named(name)
        with named.writes, self._lock:
            for file in (_CURRENT, f"{_CURRENT}.new"):
                (self._root / name / file).unlink(missing_ok=True)
            generations = [*named.building.values(), *([named.current] if named.current else [])]
            del self._names[name]
            for generation in generations:
                generation.retired = True
                generation.users += 1
        for generation in generations:
            self._release(generation)

    def close(self) -> None:
        """See ``Catalogue``."""
        with self._lock:
            for named in self._names.values():
                for generation in (*named.building.values(), *([named.current] if named.current else [])):
                    generation.index.close()
            self._names.clear()

    def _open_all(self, folder: Path) -> None:
        """Open what a folder has: the generation that answers, and builds begun after it."""
        marker = folder / _CURRENT
        current = marker.read_text().strip() if marker.is_file() else None
        named = _Named()
        if current is not None:
            named.current = self._open(folder / current)
        for path in sorted(path for path in folder.iterdir() if path.is_dir() and path.name != current):
            spec = _read_spec(path)
            # Nobody goes on with a restore; a build, its job does.
            given_up = path.name.startswith(RESTORED) or (
                named.current is not None and spec is not None and spec.created < named.current.spec.created
            )
            if spec is None or given_up:
                _remove(path)
            else:
                named.building[path.name] = self._open(path)
        if named.current or named.building:
            self._names[folder.name] = named
        elif not any(folder.iterdir()):
            folder.rmdir()

    def _make(self, spec: Spec, folder: Path) -> EdgeIndex:
        """A new folder; the specification comes last, for one without is removed at the next start."""
        try:
            folder.mkdir(parents=True)
            index = EdgeIndex(folder / _SHARD, spec.dimension, self._plan)
            _write_durably(folder / _SPEC, json.dumps(spec.as_dict()) + "\n")
        except BaseException:
            _remove(folder)
            raise
        return index

    def _open(self, folder: Path) -> _Generation:
        spec = _read_spec(folder)
        if spec is None:
            raise Unavailable(f"index folder {folder} has no {_SPEC}")
        try:
            return _Generation(spec, EdgeIndex(folder / _SHARD, spec.dimension, self._plan), folder)
        except Exception as error:  # the library raises bare exceptions
            raise Unavailable(f"index folder {folder} cannot be opened: {error}") from error

    def _named(self, name: str, *, answering: bool = True) -> _Named:
        with self._lock:
            named = self._names.get(name)
            if named is None or (answering and named.current is None):
                raise unknown_index(name, sorted(n for n, found in self._names.items() if found.current))
            return named

    @contextmanager
    def _using(self, name: str) -> Iterator[_Generation]:
        with self._lock:
            generation = self._named(name).current
            assert generation is not None
            generation.users += 1
        try:
            yield generation
        finally:
            self._release(generation)

    def _release(self, generation: _Generation) -> None:
        """One user less; the last one of a retired generation removes it."""
        with self._lock:
            generation.users -= 1
            over = generation.retired and generation.users == 0
        if over:
            generation.index.close()
            _remove(generation.folder)
            with self._lock:
                if generation.spec.name not in self._names:
                    with suppress(OSError):  # a last reader of another generation removes it
                        generation.folder.parent.rmdir()

    def _point_to(self, name: str, generation: str) -> None:
        _write_durably(self._root / name / _CURRENT, generation + "\n")


def _space(spec: Spec) -> tuple[int, str]:
    return spec.dimension, spec.space


def _write_durably(file: Path, text: str) -> None:
    """Write a file that is there whole or not at all."""
    scratch = file.with_suffix(".new")
    with scratch.open("w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(scratch, file)


def _remove(folder: Path) -> None:
    """Remove a generation's folder; what is left if that is cut short has no specification."""
    (folder / _SPEC).unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)


def _read_spec(folder: Path) -> Spec | None:
    try:
        return Spec(**json.loads((folder / _SPEC).read_text()))
    except (OSError, ValueError, TypeError):
        return None
