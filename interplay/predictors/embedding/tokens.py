"""Words of captions, tags and queries: one way for training, evaluation and serving (thesis 4.3.2).

As the thesis's code does, '#' parts words and what is neither letter nor digit goes; unlike it, letters
are Unicode's, and marks that belong to a letter (accents that have no letter of their own, vowel signs)
stay with it.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection

SHORTEST, LONGEST = 2, 15


def tokenize(text: str, stop_words: Collection[str] = frozenset()) -> list[str]:
    """Lower-case words of a text, in order.

    Args:
        text: Any text.
        stop_words: Words to leave out, in lower case.

    Returns:
        Words of 2 to 15 characters; one character is a word where a script writes words with one
        (Chinese, Japanese and Korean ideographs).
    """
    normal = unicodedata.normalize("NFKC", text).lower()
    parts = "".join(char if _belongs(char) else " " for char in unicodedata.normalize("NFKC", normal))
    return [word for word in parts.split() if _is_word(word) and word not in stop_words]


def _belongs(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char).startswith("M")


def _is_word(word: str) -> bool:
    return SHORTEST <= len(word) <= LONGEST or (len(word) == 1 and "\u4e00" <= word <= "\u9fff")
