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
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from interplay.errors import Conflict, Unavailable
from interplay.index.catalogue import (
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
            folder.mkdir(parents=True, exist_ok=True)
            (folder / _SPEC).write_text(json.dumps(spec.as_dict()) + "\n")
            named.building[spec.generation] = self._open(folder)

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

    def publish(self, name: str, generation: str) -> IndexInfo:
        """See ``Catalogue``."""
        named = self._named(name, answering=False)
        current = named.current
        if current is not None and current.spec.generation == generation:
            return self.info(name)
        with self.building(name, generation) as new:
            new.optimize()
            with named.writes:
                old = named.current
                if old is not None and (old.spec.dimension, old.spec.space) == self._space(named, generation):
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
        self._release(found)

    def drop(self, name: str) -> None:
        """See ``Catalogue``."""
        named = self._named(name)
        with named.writes, self._lock:
            (self._root / name / _CURRENT).unlink(missing_ok=True)
            generations = [*named.building.values(), *([named.current] if named.current else [])]
            del self._names[name]
            for generation in generations:
                generation.retired = True
                generation.users += 1
        for generation in generations:
            self._release(generation)

    def snapshot(self, name: str, target: Path) -> Path:
        """See ``Catalogue``. A tar file of the generation, taken while no one writes."""
        with self.writing(name) as index, self._using(name) as generation:
            index.flush()
            target.parent.mkdir(parents=True, exist_ok=True)
            scratch = target.with_name(f".{target.name}.new")
            with tarfile.open(scratch, mode="w") as archive:
                archive.add(generation.folder, arcname=".")
            os.replace(scratch, target)
        return target

    def restore(self, name: str, source: Path) -> IndexInfo:
        """Make an index, or its next generation, from what ``snapshot`` wrote.

        Raises:
            Conflict: The snapshot's generation answers already or is being built.
        """
        (self._root / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._root / name, prefix=".restore-") as scratch:
            with tarfile.open(source) as archive:
                archive.extractall(scratch, filter="data")
            saved = Spec(**json.loads((Path(scratch) / _SPEC).read_text()))
            spec = Spec(name, saved.generation, saved.dimension, saved.space, saved.created)
            folder = self._root / name / spec.generation
            with self._lock:
                if folder.exists():
                    raise Conflict(f"generation {spec.generation} of index {name} exists already")
                (Path(scratch) / _SPEC).write_text(json.dumps(spec.as_dict()) + "\n")
                shutil.copytree(scratch, folder)
                self._names.setdefault(name, _Named()).building[spec.generation] = self._open(folder)
        return self.publish(name, spec.generation)

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
            superseded = named.current is not None and (
                spec is None or spec.created < named.current.spec.created
            )
            if spec is None or superseded:
                shutil.rmtree(path, ignore_errors=True)
            else:
                named.building[path.name] = self._open(path)
        if named.current or named.building:
            self._names[folder.name] = named

    def _open(self, folder: Path) -> _Generation:
        spec = _read_spec(folder)
        if spec is None:
            raise Unavailable(f"index folder {folder} has no {_SPEC}")
        try:
            return _Generation(spec, EdgeIndex(folder / "shard", spec.dimension, self._plan), folder)
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
            shutil.rmtree(generation.folder, ignore_errors=True)

    def _space(self, named: _Named, generation: str) -> tuple[int, str]:
        spec = named.building[generation].spec
        return spec.dimension, spec.space

    def _point_to(self, name: str, generation: str) -> None:
        marker = self._root / name / _CURRENT
        scratch = marker.with_suffix(".new")
        with scratch.open("w") as stream:
            stream.write(generation + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(scratch, marker)


def _read_spec(folder: Path) -> Spec | None:
    try:
        return Spec(**json.loads((folder / _SPEC).read_text()))
    except (OSError, ValueError, TypeError):
        return None
