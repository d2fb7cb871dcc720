"""Features of a post's text: n-grams of words, letters, stems and parts of speech, and 17 numbers.

The numbers, stems and parts of speech are those of Davidson et al., "Automated Hate Speech Detection and
the Problem of Offensive Language" (ICWSM 2017). Syllables are counted by pyphen's hyphenation patterns,
as textstat once did (it now asks the network for a dictionary); parts of speech come from TextBlob's
pattern tagger, whose lexicon lies in its wheel; sentiment from VADER. All of it is made for English:
other languages give numbers, too, but they mean little.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import pyphen

from interplay.predictors.hate_classifier.groups import group_runs
from interplay.predictors.hate_classifier.lexicon import sentiment, stem
from interplay.predictors.hate_classifier.text import content_words, tokens

NUMBERS = (
    "grade_level",
    "reading_ease",
    "syllables",
    "syllables_per_word",
    "letters",
    "characters",
    "terms",
    "words",
    "different_words",
    "negative",
    "positive",
    "neutral",
    "compound",
    "hashtags",
    "users",
    "urls",
    "retweet",
)
LONGEST = 500  # characters that sentiment and parts of speech look at: both take quadratic time


def word_grams(text: str, shortest: int, longest: int, read: list[str] | None = None) -> list[str]:
    """Runs of `shortest` to `longest` tokens, as often as they come.

    (Here and below, `read` are the text's tokens, for callers that have them already.)
    """
    return _runs(tokens(text) if read is None else read, shortest, longest)


def letter_grams(text: str, shortest: int, longest: int, read: list[str] | None = None) -> list[str]:
    """Runs of `shortest` to `longest` characters within a token with a blank on either side of it."""
    found: list[str] = []
    for token in tokens(text) if read is None else read:
        found += _letter_runs(token, shortest, longest)
    return found


def stem_grams(text: str, shortest: int, longest: int, read: list[str] | None = None) -> list[str]:
    """Runs of stemmed tokens; signs and emoji are left out, classes such as `<url>` are not."""
    read = tokens(text) if read is None else read
    said = [token for token in read if token[0] == "<" or any(char.isalnum() for char in token)]
    return _runs([stem(token) for token in said if token[0] != ":"], shortest, longest)


def tag_grams(text: str, shortest: int, longest: int, read: list[str] | None = None) -> list[str]:
    """Runs of Penn Treebank tags of the words and signs."""
    return _runs(tags(text), shortest, longest)


def group_grams(text: str, shortest: int, longest: int, read: list[str] | None = None) -> list[str]:
    """Runs of stems with names of groups of people as one token, and what stands around such names.

    See `groups.group_runs`.
    """
    return group_runs(tokens(text) if read is None else read, shortest, longest)


GRAMS: dict[str, Callable[[str, int, int, list[str] | None], list[str]]] = {
    "words": word_grams,
    "letters": letter_grams,
    "stems": stem_grams,
    "tags": tag_grams,
    "groups": group_grams,
}


def tags(text: str) -> list[str]:
    """Penn Treebank tags of the first `LONGEST` characters' words and signs."""
    said = [token for token in tokens(text[:LONGEST]) if token[0] != "<" and len(token.strip(":")) > 0]
    words = [token.strip(":").replace("_", " ") if token[0] == ":" else token for token in said]
    return [tag for _, tag in _tagger()(" ".join(words))] if words else []


def numbers(text: str, read: list[str] | None = None) -> np.ndarray:
    """The numbers of a text: (17,) float64, in the order of `NUMBERS`.

    Flesch's grade level and reading ease take the post for one sentence, as Davidson et al. do. For a
    text without words, syllables per word is 0.
    """
    found = tokens(text) if read is None else read
    words = content_words(found)
    syllables = sum(_syllables(word) for word in words)
    per_word = syllables / len(words) if words else 0.0
    grade = 0.39 * len(words) + 11.8 * per_word - 15.59
    ease = 206.835 - 1.015 * len(words) - 84.6 * per_word
    mood = sentiment().polarity_scores(text[:LONGEST])
    return np.array(
        [
            grade,
            ease,
            syllables,
            per_word,
            sum(len(word) for word in words),
            len(text),
            len(text.split()),
            len(words),
            len(set(words)),
            mood["neg"],
            mood["pos"],
            mood["neu"],
            mood["compound"],
            found.count("<hashtag>"),
            found.count("<user>"),
            found.count("<url>"),
            float("rt" in words),
        ],
        dtype=np.float64,
    )


def _runs(items: Sequence[str], shortest: int, longest: int) -> list[str]:
    return [
        " ".join(items[start : start + size])
        for size in range(shortest, longest + 1)
        for start in range(len(items) - size + 1)
    ]


@lru_cache(maxsize=16384)
def _letter_runs(token: str, shortest: int, longest: int) -> tuple[str, ...]:
    padded, found = f" {token} ", []
    for size in range(shortest, longest + 1):
        # A token shorter than the run gives one run, the whole of it.
        found += [padded[start : start + size] for start in range(max(1, len(padded) - size + 1))]
        if size >= len(padded):
            break
    return tuple(found)


@lru_cache(maxsize=16384)
def _syllables(word: str) -> int:
    return len(_hyphens().positions(word)) + 1


@lru_cache(maxsize=1)
def _hyphens() -> pyphen.Pyphen:
    return pyphen.Pyphen(lang="en_US")


@lru_cache(maxsize=1)
def _tagger() -> Callable[[str], list[tuple[str, str]]]:
    from textblob.en import tag

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its lexicon's file to the collector
        tag("a", tokenize=False)
    return lambda text: tag(text, tokenize=False)
