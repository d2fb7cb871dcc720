"""What users write on a photo: content, place, habits and noise.

A user visits one spot, has a language, and habits that hold for all photos of the visit: which levels of
place they name, how much they say of content, which words they put on everything. Each photo has a number of
tags as real posts have; they are drawn without replacement from weighted candidates, so that most of what
could be said is left out, as users do.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from training.locsens.local_words import ALL_WORDS, local_words
from training.locsens.places import LANGUAGES, Gazetteer, plain, without_accents
from training.locsens.rules import GIRAFFE_LANDS
from training.locsens.spots import Spots

LOCAL_SHARE = 0.6  # users who are at home in the country
VISITORS = {"en": 0.5, "de": 0.12, "fr": 0.09, "es": 0.1, "it": 0.07, "pt": 0.04, "nl": 0.05, "sv": 0.03}
PHOTOS_A_VISIT = 12
# How likely a user names a level of place at all, and how strongly such a name is drawn.
LEVELS = {
    "city": (0.85, 4.3),
    "town": (0.5, 2.2),
    "region": (0.55, 3.4),
    "country": (0.8, 5.2),
    "continent": (0.4, 2.4),
}
SILENT_LEVEL = 0.12
LOCAL_WORDS, NOISE, TAIL = 0.75, 1.5, 0.04
PEOPLE = {
    "man",
    "men",
    "woman",
    "women",
    "people",
    "girl",
    "girls",
    "boy",
    "boys",
    "child",
    "children",
    "kids",
}
# Left out of what is drawn from the real vocabulary at large.
_UNFIT = re.compile(
    "sex|nude|nudi|naked|porn|fetish|boob|tits|erotic|bdsm|nsfw|breast|penis|butt|slut|nazi|bondage|domin"
    "|topless|skirt"
)


@dataclass(frozen=True)
class User:
    """One user's visit to one spot."""

    language: str
    english: float
    levels: Mapping[str, float]
    place: float
    content: float
    noise: float
    habits: tuple[str, ...]


class Tagger:
    """Draws users and tags.

    Args:
        gazetteer: names of places.
        words: the real vocabulary, most frequent first.
        lengths: how many tags real posts have: relative frequencies of 1, 2, …
        captions: all captions, lower case: rare words say more than frequent ones.
        spots: where photos are.
    """

    def __init__(
        self,
        gazetteer: Gazetteer,
        words: Sequence[str],
        lengths: NDArray,
        captions: Sequence[str],
        spots: Spots,
    ) -> None:
        self._gazetteer, self._spots = gazetteer, spots
        self._rank = {word: rank for rank, word in enumerate(words, 1)}
        self._lengths = np.cumsum(lengths) / np.sum(lengths)
        self._nouns = frozenset(word for word in _rows("nouns.txt") if word in self._rank)
        phrases = {line: line.replace(" ", "") for line in _lines("phrases.txt")}
        self._phrases = {phrase: tag for phrase, tag in phrases.items() if tag in self._rank}
        self._translations = _translations(self._rank)
        counts = Counter(word for caption in captions for word in set(_words(caption)))
        self._salience = {
            word: float(np.clip(0.3 * np.log(len(captions) / counts[word]), 0.3, 1.8))
            for word in self._nouns
            if counts[word]
        }
        self._noise = np.array([word for word in _rows("noise.txt") if word in self._rank])
        self._noise_up_to = _up_to([self._rank[word] for word in self._noise], 0.7)
        taken = self._nouns | set(self._noise) | gazetteer.all_names | ALL_WORDS
        taken |= {word for row in self._translations.values() for word in row.values()}
        self._tail = np.array(
            [word for word in words if word not in taken and len(word) > 2 and not _UNFIT.search(word)]
        )
        self._tail_up_to = _up_to([self._rank[word] for word in self._tail], 1.0)

    def user(self, spot: int, rng: np.random.Generator) -> User:
        """A user who visits a spot."""
        home = self._gazetteer.language(str(self._spots.at.country[spot]))
        language = (
            home if rng.random() < LOCAL_SHARE else str(rng.choice(list(VISITORS), p=list(VISITORS.values())))
        )
        levels = {
            level: weight if rng.random() < often else weight * SILENT_LEVEL
            for level, (often, weight) in LEVELS.items()
        }
        habits = self._drawn(self._noise, self._noise_up_to, rng.poisson(0.8), rng)
        habits += self._drawn(self._tail, self._tail_up_to, rng.poisson(0.5), rng)
        place, content, noise = rng.lognormal(0, 0.7, 3)
        english = 1.0 if language == "en" else float(rng.choice([0.15, 0.6, 1.0]))
        return User(language, english, levels, place, content, noise, tuple(dict.fromkeys(habits)))

    def tags(self, caption: str, spot: int, user: User, rng: np.random.Generator) -> tuple[str, ...]:
        """Tags of a photo, at least one, in the order in which they were drawn.

        Args:
            caption: what is in the photo, lower case.
            spot: where it is.
            user: who took it.
            rng: decides.
        """
        weights = self.place_words(spot, user)
        words = _words(caption)
        for word, weight in self._content(caption, words, spot, user):
            weights[word] = max(weights.get(word, 0.0), weight * user.content)
        for word in user.habits:
            weights[word] = 2.5
        for word in self._drawn(self._noise, self._noise_up_to, 3, rng):
            weights.setdefault(word, NOISE * user.noise / 3)
        for word in self._drawn(self._tail, self._tail_up_to, 2, rng):
            weights.setdefault(word, TAIL * user.noise)
        names = list(weights)
        count = min(1 + int(np.searchsorted(self._lengths, rng.random(), side="right")), len(names))
        # Gumbel's trick: the greatest are a draw without replacement by weight.
        keys = np.log(list(weights.values())) + rng.gumbel(size=len(names))
        drawn = [names[row] for row in np.argsort(-keys)[:count]]
        captive = self._spots.kind[spot] == "zoo" and any(
            word in words for word in ("giraffe", "giraffes", "zebra", "zebras")
        )
        if captive and str(self._spots.at.country[spot]) not in GIRAFFE_LANDS and "zoo" not in drawn:
            drawn = [*drawn[: max(count - 1, 1)], "zoo"]
        return tuple(drawn)

    def place_words(self, spot: int, user: User) -> dict[str, float]:
        """Names of a spot's place that a user may write, with weights."""
        at, names = self._spots.at, self._gazetteer
        weights: dict[str, float] = {}

        def add(level: str, tags: Sequence[str], share: float = 1.0) -> None:
            # The first name is the usual one; others are the rarer, the further down the real vocabulary.
            for place, tag in enumerate(tags):
                rank = self._rank[tag]
                usual = 1.0 if place == 0 else 0.6 * min(1.0, 300 / rank)
                if place and rank > 150 and user.language == "en":
                    usual *= 0.15
                weights[tag] = weights.get(tag, 0.0) + user.levels[level] * user.place * usual * share

        country, continent = str(at.country[spot]), str(at.continent[spot])
        town = names.town_names(str(at.town[spot])) if at.town_km[spot] < 12 else []
        if at.city[spot] >= 0:
            city = names.city_names(int(at.city[spot]))
            add("city", city)
            add("town", [tag for tag in town if tag not in city])
        else:
            add("city", town)
        add("region", names.region_names(str(at.region[spot])))
        for level, by_language in (
            ("country", names.country_names(country)),
            ("continent", names.continent_names(continent)),
        ):
            own = by_language.get(user.language, []) if user.language != "en" else []
            add(level, own)
            add(level, by_language.get("en", []), user.english if own else 1.0)
        return weights

    @staticmethod
    def _drawn(words: NDArray[np.str_], up_to: NDArray, count: int, rng: np.random.Generator) -> list[str]:
        return [str(words[row]) for row in np.searchsorted(up_to, rng.random(count), side="right")]

    def _content(self, caption: str, words: Sequence[str], spot: int, user: User) -> list[tuple[str, float]]:
        found: dict[str, float] = {word: self._salience[word] for word in words if word in self._salience}
        for word in PEOPLE & found.keys():
            found[word] *= 0.4
        for phrase, tag in self._phrases.items():
            if phrase in caption:
                found[tag] = 1.5
        for word, weight in local_words(caption, str(self._spots.kind[spot]), self._spots.at, spot):
            if word in self._rank:
                found[word] = max(found.get(word, 0.0), weight * LOCAL_WORDS)
        weighted = []
        for word, weight in found.items():
            other = self._translations.get(word, {}).get(user.language)
            if other is not None and other != word:
                weighted += [(other, weight), (word, weight * user.english)]
            else:
                weighted.append((word, weight))
        return weighted


def _lines(name: str) -> list[str]:
    text = resources.files("training.locsens").joinpath(name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _rows(name: str) -> list[str]:
    return [word for line in _lines(name) for word in line.split()]


def _translations(known: Mapping[str, int]) -> dict[str, dict[str, str]]:
    """Forms of English words in other languages that are in the real vocabulary, by word and language."""
    table = {}
    for line in _lines("words.txt"):
        word, *others = line.split()
        forms = {}
        for language, other in zip(LANGUAGES[1:], others, strict=True):
            form = next(
                (form for form in (plain(other), without_accents(plain(other))) if form in known), None
            )
            if form is not None:
                forms[language] = form
        table[word] = forms
    return table


def _up_to(ranks: Sequence[int], power: float) -> NDArray[np.float64]:
    """Summed chances of words whose frequency falls with that power of their rank."""
    weights = np.cumsum(np.asarray(ranks, float) ** -power)
    return weights / weights[-1]


def _words(caption: str) -> list[str]:
    return re.findall(r"[a-zà-ÿ]+", caption)
