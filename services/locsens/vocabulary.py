"""The tags that the models know."""

from __future__ import annotations

import bisect
import difflib
from collections.abc import Sequence

from interplay.errors import InvalidParameter

_SUGGESTED = 3


class Vocabulary:
    """Tags and their numbers.

    Args:
        tags: In the models' order.
        photos: How many photos of the training set have each.
    """

    def __init__(self, tags: Sequence[str], photos: Sequence[int]) -> None:
        self.tags = tuple(tags)
        self._photos = tuple(photos)
        self._number = {tag: number for number, tag in enumerate(self.tags)}
        self._sorted = sorted(self.tags)

    def number(self, tag: str, field: str) -> int:
        """Number of a tag; case, spaces and a leading # do not count, as tags have none.

        Raises:
            InvalidParameter: It is not known; the message names similar ones.
        """
        plain = "".join(tag.lower().removeprefix("#").split())
        if (number := self._number.get(plain)) is not None:
            return number
        similar = difflib.get_close_matches(plain, self._beginning(plain[:1]), n=_SUGGESTED, cutoff=0.5)
        hint = f"; similar: {', '.join(similar)}" if similar else ""
        raise InvalidParameter(f"the models do not know the tag {tag[:100]!r}{hint}", field=field)

    def beginning(self, prefix: str, limit: int) -> tuple[list[tuple[str, int]], int]:
        """Tags that begin so with their photos, the most frequent first, and how many there are."""
        numbers = sorted(self._number[tag] for tag in self._beginning(prefix.lower()))
        numbers.sort(key=lambda number: -self._photos[number])
        return [(self.tags[number], self._photos[number]) for number in numbers[:limit]], len(numbers)

    def _beginning(self, prefix: str) -> list[str]:
        first = bisect.bisect_left(self._sorted, prefix)
        last = bisect.bisect_left(self._sorted, prefix + "\U0010ffff")
        return self._sorted[first:last]
