"""Learning the blocks of a linear model: vocabularies and scales, through scikit-learn.

A block is learnt on texts, turns texts into a sparse matrix, and with the coefficients that a regression
found for its columns becomes a `Block` that serving scores without scikit-learn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags_array
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize as to_unit_length

from interplay.predictors.hate_classifier.features import GRAMS, NUMBERS, numbers
from interplay.predictors.hate_classifier.linear import Block, BlockConfig, digest
from training.datasets.posts import Post

SCALES = ("one", "idf", "ratio")


@dataclass(frozen=True)
class BlockRecipe:
    """How a block is learnt.

    Attributes:
        config: its features.
        scale: "one"; "idf", the inverse document frequency; or "ratio", the log of how much more often a
            n-gram comes in hate than in the rest (Wang and Manning, "Baselines and Bigrams", ACL 2012).
            Numbers are always standardised.
        smooth_idf: whether frequencies are counted as if one more post held every n-gram.
        least_posts: n-grams in fewer posts are left out.
        most_part: n-grams in more than this part of the posts are left out.
        most: only so many of the most frequent n-grams are kept; None keeps all.
    """

    config: BlockConfig
    scale: str = "one"
    smooth_idf: bool = True
    least_posts: int = 1
    most_part: float = 1.0
    most: int | None = None

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ValueError(f"block {self.config.name!r}: scale {self.scale!r} is none of {SCALES}")


def extract(config: BlockConfig, posts: Sequence[Post]) -> list[Any]:
    """What a block sees of each post: its n-grams, or its numbers."""
    texts = [post.text if config.source == "text" else post.image_text or "" for post in posts]
    if config.kind == "numbers":
        return [numbers(text) for text in texts]
    return [GRAMS[config.kind](text, config.shortest, config.longest, None) for text in texts]


class LearntBlock:
    """A block learnt on the n-grams (or numbers) of posts.

    Args:
        recipe: how.
        items: of the training posts, from `extract`.
        soft: (N,) how far each is hate, 0 to 1; only the scale "ratio" looks at them.
    """

    def __init__(self, recipe: BlockRecipe, items: Sequence[Any], soft: np.ndarray) -> None:
        self.recipe = recipe
        config = recipe.config
        if config.kind == "numbers":
            table = np.stack(items)
            deviation = table.std(axis=0)
            self.mean = table.mean(axis=0)
            self.scale = (1 / np.where(deviation > 0, deviation, 1)).astype(np.float32)
            return
        self.counter = CountVectorizer(
            analyzer=_as_is,
            min_df=recipe.least_posts,
            max_df=recipe.most_part,
            max_features=recipe.most,
            binary=config.value == "present",
            dtype=np.float64,
        )
        counts = self.counter.fit_transform(items)
        if recipe.scale == "idf":
            scale = TfidfTransformer(norm=None, smooth_idf=recipe.smooth_idf).fit(counts).idf_
        elif recipe.scale == "ratio":
            hate, rest = counts.T @ soft + 1, counts.T @ (1 - soft) + 1
            scale = np.log((hate / hate.sum()) / (rest / rest.sum()))
        else:
            scale = np.ones(counts.shape[1])
        self.scale = scale.astype(np.float32)

    def matrix(self, items: Sequence[Any]) -> csr_matrix:
        """(N, V) float64 values of posts, scaled; from `extract`."""
        if self.recipe.config.kind == "numbers":
            return csr_matrix((np.stack(items) - self.mean) * self.scale)
        values = csr_matrix(self.counter.transform(items))
        if self.recipe.config.value == "log_count":
            values.data = 1 + np.log(values.data)
        values = csr_matrix(values @ diags_array(self.scale.astype(np.float64)))
        return to_unit_length(values) if self.recipe.config.unit_length else values

    def export(self, weights: np.ndarray) -> tuple[Block, float]:
        """The block with the coefficients of its columns, and what it adds to the bias.

        N-grams whose coefficient is 0 are dropped where that changes no other's value.
        """
        config, weights = self.recipe.config, weights.astype(np.float32)
        if config.kind == "numbers":
            bias = -float(np.sum(self.mean * self.scale.astype(np.float64) * weights.astype(np.float64)))
            return Block(config, np.arange(len(NUMBERS), dtype=np.int64), self.scale, weights), bias
        keys = np.empty(len(weights), dtype=np.int64)
        for gram, column in self.counter.vocabulary_.items():
            keys[column] = digest(gram)
        kept = np.arange(len(keys)) if config.unit_length else np.flatnonzero(weights)
        order = kept[np.argsort(keys[kept])]
        return Block(config, keys[order], self.scale[order], weights[order]), 0.0


def _as_is(grams: list[str]) -> list[str]:
    return grams
