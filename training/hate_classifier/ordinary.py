"""Learning what tells the tweets that the hate classifier was trained on from ordinary posts.

All of those tweets were gathered by offensive words, and half of them are hate; so what the text models say
of a post without any such word means nothing. A small linear model of single words, the likeness, tells how
likely a text is of their kind; the classifier believes its models as far as that (`Fusion.mix`), and else a
model of hate in general (`general`).

Words can only speak for likeness, never against it: nobody makes a text harmless by adding harmless words.
`training.hate_classifier.export` calls this.

    python -m training.hate_classifier.ordinary --toxigen annotated_train.csv --version 2

prints which share of the sets that are reported on a published classifier labels hate.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize
from scipy.sparse import csr_matrix
from scipy.special import expit
from sklearn.feature_extraction.text import CountVectorizer

from interplay.predictors.hate_classifier.answers import PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.predictors.hate_classifier.fusion import believed
from interplay.predictors.hate_classifier.linear import Block, BlockConfig, LinearModel, digest
from interplay.predictors.hate_classifier.text import content_words, tokens
from training.datasets.posts import Post
from training.hate_classifier.fit import Fitted
from training.hate_classifier.general import fit_general
from training.hate_classifier.metrics import auc
from training.hate_classifier.scoring import probabilities
from training.hate_classifier.sets import Sets, load_sets
from training.hate_classifier.split import folds
from training.text_detection.paths import data_dir

REST = 0.03  # probability of hate in posts unlike the tweets, where no general model judges them
L1, RAREST = 1e-4, 3
LOSS = 0.0015  # of AUC, cross-validated, that it may cost
SHIFTS = np.arange(0, 6.01, 0.25)
_NO_WORDS = {"rt", "amp"}  # signs of where a set comes from


def add_likeness(fitted: Fitted, posts: Sequence[Post], sets: Sets) -> tuple[Fitted, dict[str, Any]]:
    """A classifier that was trained without, with the likeness and, given texts for it, the general model.

    The log-odds of likeness are shifted up by the least of `SHIFTS` with which the AUC on the posts,
    everything out of fold, falls by at most `LOSS`: else those of the classifier's own tweets that hold no
    word of note would be lost. (The general model has not seen these posts.)

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
    words = cross_likeness(posts, sets)
    general = fit_general(sets.general) if sets.general else None
    otherwise = np.array([_otherwise(general, post) for post in posts])
    model = fit_likeness([post.text for post in posts] + sets.alike, sets.ordinary)
    before = auc(labels, fitted.tweets)
    for shift in SHIFTS:
        unknown = model.bias + float(shift)  # log-odds of a text that has none of the words
        least = None if general is None else unknown
        share = np.array([believed(unknown + more, least) for more in words])
        tweets = share * fitted.tweets + (1 - share) * otherwise
        after = auc(labels, tweets)
        if after >= before - LOSS:
            break
    else:
        raise ValueError(f"likeness costs {before - after:.4f} of AUC even if shifted by {SHIFTS[-1]}")
    facts = {
        "shift": float(shift),
        "general_ngrams": sum(len(block.keys) for block in general.blocks) if general else 0,
        "words": len(model.blocks[0].keys),
        "auc_cross_validated": {"without": before, "with": after},
        "texts": {
            "general": len(sets.general),
            "alike": len(posts) + len(sets.alike),
            "ordinary": len(sets.ordinary),
        },
    }
    return replace(
        fitted,
        likeness=LinearModel(model.blocks, unknown),
        general=general,
        fusion=replace(fitted.fusion, rest=REST),
        tweets=tweets,
    ), facts


def _otherwise(general: LinearModel | None, post: Post) -> float:
    """What `Fusion.otherwise` says of a post with text."""
    if general is None:
        return REST
    texts = [text for text in (post.text, post.image_text or "") if tokens(text)]
    return max((float(expit(general.score(text))) for text in texts), default=REST)


def cross_likeness(posts: Sequence[Post], sets: Sets) -> np.ndarray:
    """(N,) what each post's words add to the log-odds, by a model of other folds; 0 without such words.

    Of text and image text the larger.
    """
    fold, found = folds(posts), np.zeros(len(posts))
    for number in np.unique(fold):
        others = [post.text for post, of in zip(posts, fold, strict=True) if of != number]
        model = fit_likeness(others + sets.alike, sets.ordinary)
        for row in np.flatnonzero(fold == number):
            texts = [posts[row].text, posts[row].image_text or ""]
            found[row] = max(model.score(text) for text in texts) - model.bias
    return found


def shares(
    classifier: HateClassifier, reported: dict[str, list[str]], *, threshold: float, without: float
) -> dict[str, dict[str, float]]:
    """Of each set, which share is labelled hate: by the tweets' models alone, and by all of it.

    Args:
        classifier: measured; it is left as it is.
        reported: texts by name.
        threshold: of the classifier.
        without: threshold of the classifier without likeness.
    """
    found: dict[str, dict[str, float]] = {}
    likeness = classifier.likeness
    for name, texts in reported.items():
        items = [PostItem(text) for text in texts]
        found[name] = {"posts": len(texts)}
        for key, model, least in (("without", None, without), ("with", likeness, threshold)):
            classifier.likeness = model
            said, answers = probabilities(classifier, items)
            some = np.array([answer is not None for answer in answers])
            found[name][key] = float(np.mean(said[some] >= least)) if some.any() else 0.0
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


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--toxigen", type=Path, required=True, help="ToxiGen's annotated_train.csv")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--version", type=int, help="of hate-classifier; default: the newest")
    args = parser.parse_args()
    classifier = HateClassifier.open(args.store, args.version, device="cpu", threads=1)
    print(f"{classifier.manifest.name} {classifier.manifest.version}, threshold {classifier.threshold:.3f}\n")
    for name, texts in load_sets(args.data, args.toxigen).reported.items():
        said, _ = probabilities(classifier, [PostItem(text) for text in texts])
        print(f"| {name} | {len(texts)} | {100 * np.mean(said >= classifier.threshold):.1f} % |")


if __name__ == "__main__":
    main()
