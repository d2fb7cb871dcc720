"""What is known of single English words: their stem, and how they sound."""

from __future__ import annotations

from functools import lru_cache

import snowballstemmer
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

MOODS = ("<worse>", "<bad>", "<good>")
PLAIN, WORSE = 0.8, -2.0  # valences, of -4 to 4


@lru_cache(maxsize=16384)
def stem(token: str) -> str:
    """The stem of a word (Snowball's)."""
    return str(_stemmer().stemWord(token))


@lru_cache(maxsize=16384)
def mood(word: str) -> str:
    """How a word sounds by VADER's lexicon: one of `MOODS`, or "" for one that is plain or unknown."""
    valence = float(sentiment().lexicon.get(word, 0.0))
    if abs(valence) < PLAIN:
        return ""
    return MOODS[2] if valence > 0 else MOODS[valence > WORSE]


@lru_cache(maxsize=1)
def sentiment() -> SentimentIntensityAnalyzer:
    """VADER's analyser."""
    return SentimentIntensityAnalyzer()


@lru_cache(maxsize=1)
def _stemmer() -> snowballstemmer.stemmer:
    return snowballstemmer.stemmer("english")
