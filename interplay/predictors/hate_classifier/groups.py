"""Names of groups of people, replaced by one token, so that what is learnt of one group holds for all.

    "No Jew deserves that"          no <group> deserves that
    "women with disabilities"       <group> with disabilities
    "the colour black"              the colour black

A word that is a colour, a state or an illness first of all ("black", "blind") names a group only beside a
word for people ("black women") and in a few turns ("the blind"). Slurs are a token of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from interplay.predictors.hate_classifier.group_names import (
    ADJECTIVES,
    AFTER_I,
    AFTER_THE,
    CONDITIONS,
    I_AM,
    LINKS,
    NAMES,
    PEOPLE,
    SLURS,
)
from interplay.predictors.hate_classifier.lexicon import mood, stem

GROUP, SLUR = "<group>", "<slur>"
NEGATED = "no:"  # before a word that a "not" a few words earlier negates
REACH = 4  # words that a negation reaches, up to the end of its clause
FARTHEST = 14  # words between a group's name and a word of note
LEAST_LETTERS = 3  # that stand alone, to be a word

_TOKENS = {GROUP, SLUR}
_NEGATORS = {"not", "no", "never", "nobody", "none", "neither", "nor", "without", "cannot", "cant", "dont"}
_ENDS = {".", "!", "?", ";", ",", ":", "but", "because"}
_MARKS = {"<elong>", "<allcaps>", "<repeat>", "<hashtag>"}
_HIDDEN = re.compile(r"[a-z][013457$*]+[a-z]|^[013457$][a-z]{3}")
_LETTERS = str.maketrans("013457$", "oieasts")


def replaced(read: Sequence[str]) -> list[str]:
    """A text's tokens with each name of a group as `GROUP` and each slur as `SLUR`.

    Marks of how words are written are left out, digits that stand for letters are read as these, and words
    that are written letter by letter are put together.

    Args:
        read: tokens (`text.tokens`).
    """
    words = [_plain(token) for token in _joined([token for token in read if token not in _MARKS])]
    found: list[str] = []
    at = 0
    while at < len(words):
        size = _name(words, at)
        if size:
            found.append(GROUP)
        else:
            found.append(SLUR if _slur(words[at]) else words[at])
        at += max(size, 1)
    return found


def group_runs(read: Sequence[str], shortest: int, longest: int) -> list[str]:
    """Runs of stemmed tokens of `replaced`, and what stands before and after groups and slurs.

    Of each word, each pair of words and each word's mood (`lexicon.mood`): "kill>G" if a group's name or a
    slur comes after it, "G>kill" if one came before, up to `FARTHEST` words away. So "kill all <group>" and
    "kill the <group>" share a feature, which "kill the process" does not have. `NEGATED` stands before words
    that are negated: "no <group> no:deserv no:that".

    Args:
        read: tokens (`text.tokens`).
        shortest: size of the shortest runs.
        longest: size of the longest.
    """
    words = replaced(read)
    stems = _stems(words)
    found = [
        " ".join(stems[start : start + size])
        for size in range(shortest, longest + 1)
        for start in range(len(stems) - size + 1)
    ]
    said, moods = [], []
    for word, short in zip(words, stems, strict=True):
        if word in _TOKENS or any(char.isalnum() for char in word):
            said.append(short)
            moods.append(_mood(word, short))
    found += [each for each in moods if each]
    places = [place for place, word in enumerate(said) if word in _TOKENS]
    for place, word in enumerate(said) if places else ():
        if word in _TOKENS:
            continue
        parts = [word, moods[place]] if moods[place] else [word]
        if place + 1 < len(said) and said[place + 1] not in _TOKENS:
            parts.append(f"{word} {said[place + 1]}")
        if any(0 < place - other <= FARTHEST for other in places):
            found += [f"G>{part}" for part in parts]
        if any(0 < other - place <= FARTHEST for other in places):
            found += [f"{part}>G" for part in parts]
    return found


def _stems(words: Sequence[str]) -> list[str]:
    """Stems, with `NEGATED` before those of words that are negated."""
    found, reach = [], 0
    for word in words:
        if word in _TOKENS:
            found.append(word)
        elif word in _ENDS or not any(char.isalnum() for char in word):
            found.append(stem(word))
        else:
            found.append(NEGATED * (reach > 0) + stem(word))
        if word in _ENDS:
            reach = 0
        else:
            reach = REACH if word in _NEGATORS or word.endswith("n't") else reach - 1
    return found


def _mood(word: str, short: str) -> str:
    found = mood(word)
    return f"{NEGATED}{found}" if found and short.startswith(NEGATED) else found


def _name(words: Sequence[str], at: int) -> int:
    """How many words a group's name has that starts here; 0: none does."""
    size = _start(words, at)
    # "Jewish people", "Asian women", "gay Muslim man": one name.
    while size and at + size < len(words) and (words[at + size] in PEOPLE or words[at + size] in NAMES):
        size += 1
    return size


def _start(words: Sequence[str], at: int) -> int:
    word, rest = words[at], words[at + 1 : at + 5]
    before = words[at - 1] if at else ""
    if word in NAMES:
        return 1
    if word in ADJECTIVES:
        for size, after in enumerate(rest[:2], 1):
            if after in PEOPLE or after in NAMES:
                return size + 1
            if after not in LINKS and after not in ADJECTIVES:
                break
        if before in I_AM and word in AFTER_I:
            return 1
        if before == "the" and word in AFTER_THE:
            return 2 if rest and rest[0] in LINKS - {"and"} else 1
        return 0
    if word in PEOPLE and rest and rest[0] in ("with", "of", "in", "from"):
        for size, after in enumerate(rest[1:], 2):  # "people with a learning disability"
            if after in CONDITIONS:
                return size + 1 + (words[at + size + 1 : at + size + 2] == ["syndrome"])
    return 0


@lru_cache(maxsize=16384)
def _slur(word: str) -> bool:
    return SLURS.match(word) is not None


@lru_cache(maxsize=16384)
def _plain(token: str) -> str:
    """A word as it is meant: "k1ll" as "kill", "women's" as "women"."""
    if token[-1].isalpha() and _HIDDEN.search(token):
        token = token.translate(_LETTERS)
    return token.removesuffix("'s")


def _joined(words: Sequence[str]) -> list[str]:
    """Words that are written letter by letter, "h a t e", as one."""
    found: list[str] = []
    run: list[str] = []
    for word in [*words, ""]:
        if len(word) == 1 and word.isalpha():
            run.append(word)
            continue
        found += ["".join(run)] if len(run) >= LEAST_LETTERS else run
        run = []
        found += [word] if word else []
    return found
