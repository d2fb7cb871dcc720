"""The list of job kinds. A new kind is a new module with its ``KIND`` and a new row here."""

from __future__ import annotations

from collections.abc import Iterator

from interplay.errors import InvalidParameter
from interplay.jobs import (
    augment_dataset,
    build_index,
    classify_dataset,
    compare_distances,
    deep_dream,
    filter_text_images,
    map_embedding,
    show_units,
)
from interplay.jobs.work import JobKind

JOB_KINDS: tuple[JobKind, ...] = (
    filter_text_images.KIND,
    augment_dataset.KIND,
    build_index.KIND,
    map_embedding.KIND,
    compare_distances.KIND,
    show_units.KIND,
    deep_dream.KIND,
    classify_dataset.KIND,
)


class Kinds:
    """Kinds by name.

    Args:
        kinds: The kinds; names differ.
    """

    def __init__(self, kinds: tuple[JobKind, ...] = JOB_KINDS) -> None:
        self._by_name = {kind.name: kind for kind in kinds}
        if len(self._by_name) != len(kinds):
            raise ValueError("two job kinds have the same name")

    def __iter__(self) -> Iterator[JobKind]:
        return iter(self._by_name.values())

    def get(self, name: str) -> JobKind:
        """The kind with this name.

        Raises:
            InvalidParameter: There is none; the message lists the known ones.
        """
        if name not in self._by_name:
            known = ", ".join(sorted(self._by_name))
            raise InvalidParameter(f"there is no job kind {name!r}; known: {known}", field="kind")
        return self._by_name[name]
