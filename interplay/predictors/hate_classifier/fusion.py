"""What the scores of a post's inputs come to together, how sure that is, and what each input added.

A score is a log-odds; inputs that a post does not have are left out of the sum. Posts with and without text
of their own are scored and weighed apart: the ones were learnt from tweets, the others from memes, whose
words are in the image.

Tweets were gathered by offensive words, so the text models know nothing of ordinary posts. A post with text
is therefore believed to be hate as the models say as far as its texts are like those tweets, and else as a
general model says: p = a · p_models + (1 − a) · g.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from interplay.predictors.hate_classifier.answers import INPUTS

WITH_TEXT, WITHOUT_TEXT = "with_text", "without_text"
ALIKE, GENERAL = "alike", "general"

# Score of each input that a post has, in a post with text and in one without; of texts also, as `ALIKE`, the
# share to which the text models are `believed` (1 if it is not there), and as `GENERAL` the probability of
# hate by the general model (`Fusion.rest` if it is not there).
Scores = Mapping[str, Mapping[str, float]]
TEXTS = ("text", "image_text")
Z_95 = 1.959964


@dataclass(frozen=True)
class Bin:
    """Posts of about one probability, that no model trained on.

    Attributes:
        upto: their highest probability; the last bin's is 1.
        hate: how many of them people called hate.
        posts: how many they are.
    """

    upto: float
    hate: int
    posts: int


@dataclass(frozen=True)
class Weighing:
    """How the scores of one kind of post are put together.

    Attributes:
        bias: log-odds without any input.
        weights: factor of each input's score.
        centres: what is taken from the score first, so that an input adds 0 in the mean.
        bins: by ascending probability.
    """

    bias: float
    weights: Mapping[str, float]
    centres: Mapping[str, float]
    bins: Sequence[Bin]

    def logit(self, scores: Mapping[str, float]) -> float:
        """Log-odds of hate."""
        return self.bias + sum(
            self.weights[name] * (score - self.centres[name]) for name, score in scores.items()
        )

    def interval(self, probability: float) -> tuple[float, float]:
        """95 % interval of the share of hate among posts of about this probability, widened to hold it."""
        found = next((each for each in self.bins if probability <= each.upto), self.bins[-1])
        low, high = wilson(found.hate, found.posts)
        return min(low, probability), max(high, probability)


@dataclass(frozen=True)
class Fusion:
    """How the scores of any post are put together.

    Attributes:
        baseline: probability of hate where nothing is known of a post.
        kinds: `WITH_TEXT` and `WITHOUT_TEXT`.
        rest: probability of hate in posts with text that are not of the kind that was learnt from, where no
            general model judges them.
    """

    baseline: float
    kinds: Mapping[str, Weighing]
    rest: float = 0.0

    def probability(self, scores: Scores) -> float:
        """Probability of hate from the scores of the inputs that are given."""
        return self.mix(scores, sigmoid(self.logit(scores))) if scores else self.baseline

    def mix(self, scores: Scores, probability: float) -> float:
        """What a probability by the models comes to, for a post with these inputs."""
        share = alike(scores)
        return share * probability + (1 - share) * self.otherwise(scores)

    def otherwise(self, scores: Scores) -> float:
        """Probability of hate by the general model: of a post's texts the higher one's."""
        return max(
            (scores[name].get(GENERAL, self.rest) for name in TEXTS if name in scores), default=self.rest
        )

    def interval(self, scores: Scores) -> tuple[float, float]:
        """See `Weighing.interval`; mixed as the probability is (what the general model says has none)."""
        low, high = self.weighing(scores).interval(sigmoid(self.logit(scores)))
        return self.mix(scores, low), self.mix(scores, high)

    def logit(self, scores: Scores) -> float:
        """Log-odds of hate by the models, before `mix`."""
        kind = kind_of(scores)
        return self.kinds[kind].logit({name: of[kind] for name, of in scores.items()})

    def weighing(self, scores: Scores) -> Weighing:
        """The one for a post with these inputs."""
        return self.kinds[kind_of(scores)]

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Fusion:
        """What `config` made.

        Raises:
            ValueError: a field is missing or no number.
        """
        try:
            kinds = {
                kind: Weighing(
                    float(row["bias"]),
                    {name: float(row["weights"][name]) for name in row["weights"]},
                    {name: float(row["centres"][name]) for name in row["weights"]},
                    [Bin(float(upto), int(hate), int(posts)) for upto, hate, posts in row["bins"]],
                )
                for kind, row in ((kind, config["kinds"][kind]) for kind in (WITH_TEXT, WITHOUT_TEXT))
            }
            return cls(float(config["baseline"]), kinds, float(config.get("rest", 0.0)))
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the configuration of a fusion: {error!r}") from error

    def config(self) -> dict[str, Any]:
        """A JSON object that `from_config` takes."""
        return {
            "baseline": self.baseline,
            "rest": self.rest,
            "kinds": {
                kind: {
                    "bias": each.bias,
                    "weights": dict(each.weights),
                    "centres": dict(each.centres),
                    "bins": [[row.upto, row.hate, row.posts] for row in each.bins],
                }
                for kind, each in self.kinds.items()
            },
        }


def kind_of(scores: Scores) -> str:
    """`WITH_TEXT` or `WITHOUT_TEXT`."""
    return WITH_TEXT if "text" in scores else WITHOUT_TEXT


def alike(scores: Scores) -> float:
    """How far the models are believed, 0 to 1: as its most alike text; in full in a post without text."""
    if kind_of(scores) == WITHOUT_TEXT:
        return 1.0
    return max(scores[name].get(ALIKE, 1.0) for name in TEXTS if name in scores)


def believed(logit: float, least: float | None = None) -> float:
    """How far the models are believed of a text, 0 to 1.

    Args:
        logit: log-odds that it is of the kind that they learnt from.
        least: those of a text that has nothing of that kind, which is not believed at all; None: log-odds are
            taken as they are, as a text that no other model judges must be.
    """
    share = sigmoid(logit)
    return share if least is None else max(0.0, (share - sigmoid(least)) / (1 - sigmoid(least)))


def sigmoid(logit: float) -> float:
    """Log-odds to probability."""
    return 0.5 * (1 + math.tanh(logit / 2))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """95 % interval of a share (E. B. Wilson, JASA 22, 1927); (0, 1) of nothing."""
    if of == 0:
        return 0.0, 1.0
    share, z2 = hits / of, Z_95 * Z_95
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = Z_95 / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def shapley(names: Sequence[str], value: Callable[[frozenset[str]], float]) -> dict[str, float]:
    """Shapley values: what each adds to the value, in the mean over all orders in which they may come.

    They add up to the value of all less that of none.

    Args:
        names: whose.
        value: of any set of them.
    """
    n, found = len(names), dict.fromkeys(names, 0.0)
    for name in names:
        others = [other for other in names if other != name]
        for size in range(n):
            part = math.factorial(size) * math.factorial(n - size - 1) / math.factorial(n)
            for chosen in combinations(others, size):
                before = frozenset(chosen)
                found[name] += part * (value(before | {name}) - value(before))
    return found


def given(scores: Scores) -> list[str]:
    """Names of the inputs that have a score, in the usual order."""
    return [name for name in INPUTS if name in scores]
