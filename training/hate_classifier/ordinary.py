"""Learning what tells the tweets that the hate classifier was trained on from ordinary posts.

All of those tweets were gathered by offensive words, and half of them are hate; so what the text models say
of a post without any such word means nothing. A small linear model of single words, the likeness, tells how
likely a text is of their kind; the classifier believes its models as far as that (`Fusion.mix`).

Words can only speak for likeness, never against it: nobody makes a text harmless by adding harmless words.
`training.hate_classifier.export` calls this.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer

from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.predictors.hate_classifier.linear import Block, BlockConfig, LinearModel, digest
from interplay.predictors.hate_classifier.text import content_words, tokens
from training.datasets.posts import Post, read_davidson, read_hateval
from training.hate_classifier.fit import Fitted
from training.hate_classifier.metrics import auc
from training.hate_classifier.split import folds

REST = 0.03  # probability of hate in posts that are not of the kind trained on: an assumption
L1, RAREST = 1e-4, 3
LOSS = 0.001  # of AUC, cross-validated, that it may cost
SHIFTS = np.arange(0, 6.01, 0.25)
_NO_WORDS = {"rt", "amp"}  # signs of where a set comes from


@dataclass(frozen=True)
class Sets:
    """Texts.

    Attributes:
        alike: of the kind trained on, beside MMHS150K's.
        ordinary: not of that kind.
        reported: by name, texts that play no role in training.
    """

    alike: list[str]
    ordinary: list[str]
    reported: dict[str, list[str]]


def load_sets(data: Path) -> Sets:
    """Davidson's tweets, HatEval's English ones, Flickr8k's captions and ordinary tweets of the data folder.

    Raises:
        FileNotFoundError: the folder does not have them.
    """
    rng = np.random.default_rng(0)
    davidson = list(read_davidson(data / "davidson" / "labeled_data.csv"))
    neither = [post.text for post in davidson if set(post.labels) == {"neither"}]
    offensive = [post.text for post in davidson if "neither" not in post.labels]
    rng.shuffle(neither)
    rng.shuffle(offensive)
    folder = data / "hateval2019"
    hateval = list(read_hateval(folder / "2_Development-English-A_train_en.tsv"))
    other = list(read_hateval(folder / "2_Development-English-A_dev_en.tsv"))  # the test file has no labels
    with (data / "captions" / "flickr8k_captions.csv").open(newline="", encoding="utf-8") as stream:
        one_each = {row[0]: row[-1] for row in list(csv.reader(stream))[1:]}  # of each photo
    captions = [one_each[name] for name in sorted(one_each)]
    rng.shuffle(captions)
    lines = (data / "tweets_with_images" / "tweets.jsonl").read_text(encoding="utf-8").split("\n")
    tweets = [json.loads(line)["text"] for line in lines if line.strip()]
    alike = offensive[:6000] + [post.text for post in hateval if post.label]
    # HatEval's name women and immigrants, too: else to name a group would count as likeness.
    ordinary = neither[:-800] + captions[:2500] + tweets[: len(tweets) // 2]
    ordinary += [post.text for post in hateval if not post.label]
    reported = {
        "Davidson: neither": neither[-800:],
        "ordinary tweets": tweets[len(tweets) // 2 :],
        "captions of Flickr8k": captions[2500:3000],
        "Davidson: hate or offensive": offensive[6000:6800],
        "HatEval dev: not hate": [post.text for post in other if not post.label],
        "HatEval dev: hate": [post.text for post in other if post.label],
    }
    seen = {*alike, *ordinary}
    return Sets(
        alike,
        ordinary,
        {name: [text for text in texts if text not in seen] for name, texts in reported.items()},
    )


def add_likeness(fitted: Fitted, posts: Sequence[Post], sets: Sets) -> tuple[Fitted, dict[str, Any]]:
    """A classifier that was trained without, with the likeness.

    Its log-odds are shifted up by the least of `SHIFTS` with which the AUC on the posts, everything out of
    fold, falls by at most `LOSS`: else those of its own tweets that hold no word of note would be lost.

    Args:
        fitted: the classifier.
        posts: of train and dev, what `fitted` was trained on.
        sets: the other texts.

    Returns:
        The classifier, its `tweets` as they come out now; and facts for the manifest.

    Raises:
        ValueError: no shift is enough.
    """
    labels = np.array([bool(post.label) for post in posts])
    scores = cross_likeness(posts, sets)
    before = auc(labels, fitted.tweets)
    for shift in SHIFTS:
        share = expit(scores + shift)
        tweets = share * fitted.tweets + (1 - share) * REST
        after = auc(labels, tweets)
        if after >= before - LOSS:
            break
    else:
        raise ValueError(f"likeness costs {before - after:.4f} of AUC even if shifted by {SHIFTS[-1]}")
    model = fit_likeness([post.text for post in posts] + sets.alike, sets.ordinary)
    facts = {
        "rest": REST,
        "shift": float(shift),
        "words": len(model.blocks[0].keys),
        "auc_cross_validated": {"without": before, "with": after},
        "texts": {"alike": len(posts) + len(sets.alike), "ordinary": len(sets.ordinary)},
    }
    shifted = LinearModel(model.blocks, model.bias + float(shift))
    fusion = replace(fitted.fusion, rest=REST)
    return replace(fitted, likeness=shifted, fusion=fusion, tweets=tweets), facts


def cross_likeness(posts: Sequence[Post], sets: Sets) -> np.ndarray:
    """(N,) log-odds of each post, the larger of its text's and image text's, by a model of other folds."""
    fold, found = folds(posts), np.zeros(len(posts))
    for number in np.unique(fold):
        others = [post.text for post, of in zip(posts, fold, strict=True) if of != number]
        model = fit_likeness(others + sets.alike, sets.ordinary)
        for row in np.flatnonzero(fold == number):
            texts = [posts[row].text, posts[row].image_text or ""]
            found[row] = max(model.score(text) for text in texts)
    return found


def shares(
    classifier: HateClassifier, reported: dict[str, list[str]], *, threshold: float, without: float
) -> dict[str, dict[str, float]]:
    """Of each set, which share is labelled hate with and without the likeness.

    Args:
        classifier: measured; it is left as it is.
        reported: texts by name.
        threshold: of the classifier.
        without: threshold of the classifier without likeness.
    """
    found: dict[str, dict[str, float]] = {}
    likeness = classifier.likeness
    for name, texts in reported.items():
        found[name] = {"posts": len(texts)}
        for key, model, least in (("without", None, without), ("with", likeness, threshold)):
            classifier.likeness = model
            said = []
            for start in range(0, len(texts), 64):
                items = [PostItem(text) for text in texts[start : start + 64]]
                for answer in classifier.predict(items).results:
                    if isinstance(answer, PostAnswer):
                        said.append(answer.probability)
            found[name][key] = float(np.mean(np.array(said) >= least)) if said else 0.0
    classifier.likeness = likeness
    return found


def table(rows: dict[str, dict[str, float]]) -> str:
    """What `shares` found, as Markdown."""
    lines = ["| posts | number | without likeness | with |", "|---|---|---|---|"]
    for name, row in rows.items():
        lines.append(
            f"| {name} | {row['posts']} | {100 * row['without']:.1f} % | {100 * row['with']:.1f} % |"
        )
    return "\n".join(lines)


def fit_likeness(alike: Sequence[str], ordinary: Sequence[str], *, strength: float = L1) -> LinearModel:
    """Logistic regression over the words that a text has, both classes of equal weight, weights ≥ 0.

    Args:
        alike: texts of the kind trained on.
        ordinary: others.
        strength: of the L1 penalty, beside the mean loss.
    """
    read = CountVectorizer(analyzer=words_of, binary=True, min_df=RAREST)
    rows = csr_matrix(read.fit_transform([*alike, *ordinary]), dtype=np.float64)
    sign = np.r_[np.ones(len(alike)), -np.ones(len(ordinary))]
    share = np.where(sign > 0, 0.5 / len(alike), 0.5 / len(ordinary))

    def loss(values: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (rows @ values[1:] + values[0])
        slope = -share * sign * expit(-margin)
        cost = float(share @ np.logaddexp(0, -margin)) + strength * float(values[1:].sum())
        return cost, np.r_[slope.sum(), rows.T @ slope + strength]

    number = rows.shape[1]
    found = minimize(
        loss, np.zeros(number + 1), jac=True, method="L-BFGS-B",
        bounds=[(None, None)] + [(0, None)] * number, options={"maxiter": 500},
    ).x  # fmt: skip
    names = read.get_feature_names_out()
    kept = sorted((digest(names[row]), found[row + 1]) for row in np.flatnonzero(found[1:] > 1e-3))
    weights = np.array([weight for _, weight in kept]).astype(np.float16).astype(np.float32)
    block = Block(
        BlockConfig("words", "words", value="present"),
        np.array([key for key, _ in kept], dtype=np.int64),
        np.ones(len(kept), dtype=np.float32),
        weights,
    )
    return LinearModel([block], float(found[0]))


def words_of(text: str) -> list[str]:
    """What the model may look at: words, without names, links, signs and marks of retweets."""
    return [word for word in content_words(tokens(text)) if word not in _NO_WORDS]
