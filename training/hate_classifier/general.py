"""Learning a model of hate in general, by which a post is judged as far as it is unlike MMHS150K's tweets.

A logistic regression over words and over what is said before and after names of groups (`groups`), learnt
from people's judgements of statements about groups (ToxiGen) and of tweets (HatEval, Davidson), from ordinary
posts, and from the statements of `statements.toml`. `training.hate_classifier.export` calls this.

    python -m training.hate_classifier.general --toxigen annotated_train.csv

prints how well it does out of fold, each set apart: what the settings were chosen by. Nothing that
`ordinary` reports on takes part.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, diags_array, hstack, vstack
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize as to_unit_length

from interplay.predictors.hate_classifier.features import GRAMS
from interplay.predictors.hate_classifier.linear import Block, BlockConfig, LinearModel, digest
from interplay.predictors.hate_classifier.text import tokens
from training.hate_classifier.metrics import auc
from training.hate_classifier.sets import Text, load_sets, read_statements, share_of
from training.text_detection.paths import data_dir

FOLDS = 5
BLOCKS = (BlockConfig("groups", "groups", shortest=1, longest=3, value="present", unit_length=True),)
C, RAREST, MOST = 5.0, 3, 26_000
# What the texts of each source weigh together.
WEIGHTS = {
    "ToxiGen": 2.0,
    "HatEval": 2.0,
    "Davidson: hate or offensive": 0.7,
    "Davidson: neither": 0.5,
    "captions": 0.5,
    "tweets": 0.2,
    "statements: hateful": 1.0,
    "statements: harmless": 1.3,
}
BALANCED = ("ToxiGen", "HatEval")


def fit_general(texts: Sequence[Text], *, c: float = C, most: int = MOST) -> LinearModel:
    """Logistic regression on n-grams; those that weigh least are left out, and the others learnt anew.

    Args:
        texts: to learn from.
        c: inverse strength of the L2 penalty.
        most: n-grams that are kept, of all blocks together.
    """
    read = [tokens(text.text) for text in texts]
    items = {
        block.name: [GRAMS[block.kind]("", block.shortest, block.longest, words) for words in read]
        for block in BLOCKS
    }
    target, weights = np.array([text.hate for text in texts]), weights_of(texts)
    names = {block.name: _vocabulary(items[block.name]) for block in BLOCKS}
    matrix, _ = _matrix(items, names)
    first = _regression(matrix, target, weights, c)
    size = np.abs(first.coef_[0]) * np.sqrt(np.asarray(matrix.multiply(matrix).mean(axis=0)).ravel())
    kept = np.zeros(len(size), dtype=bool)
    kept[np.argsort(-size, kind="stable")[:most]] = True
    start = 0
    for name, found in names.items():
        rows = np.flatnonzero(kept[start : start + len(found)])
        start, names[name] = start + len(found), [found[row] for row in rows]
    matrix, scales = _matrix(items, names)
    model = _regression(matrix, target, weights, c)
    blocks, start = [], 0
    for block in BLOCKS:
        found, scale = names[block.name], scales[block.name]
        learnt = model.coef_[0][start : start + len(found)]
        start += len(found)
        keys = np.array([digest(name) for name in found], dtype=np.int64)
        order = np.argsort(keys)
        # In sixteen bits, as they are stored.
        halves = [value[order].astype(np.float16).astype(np.float32) for value in (scale, learnt)]
        blocks.append(Block(block, keys[order], *halves))
    return LinearModel(blocks, float(model.intercept_[0]))


def cross_general(texts: Sequence[Text], **settings: Any) -> np.ndarray:
    """(N,) log-odds of each text by a model of the other folds; a pattern's statements stay in one fold."""
    fold, found = fold_of(texts), np.zeros(len(texts))
    for number in range(FOLDS):
        model = fit_general([text for text, of in zip(texts, fold, strict=True) if of != number], **settings)
        for row in np.flatnonzero(fold == number):
            found[row] = model.score(texts[row].text)
    return found


def fold_of(texts: Sequence[Text]) -> np.ndarray:
    """(N,) the fold of each text, by a digest of its unit."""
    return np.array([int(FOLDS * share_of("fold", text.unit)) for text in texts])


def weights_of(texts: Sequence[Text]) -> np.ndarray:
    """(N,) what each text weighs, 1 in the mean: those of a source together as much as `WEIGHTS` says.

    In `BALANCED` sources, hate and the rest weigh the same.
    """
    sources = np.array([text.source for text in texts])
    hate = np.array([text.hate > 0.5 for text in texts])
    found = np.zeros(len(texts))
    for source in np.unique(sources):
        inside = sources == source
        parts = [inside & hate, inside & ~hate] if source in BALANCED else [inside]
        for part in parts:
            found[part] = WEIGHTS[str(source)] / len(parts) / max(part.sum(), 1)
    return np.asarray(found * len(found) / found.sum())


def _vocabulary(items: Sequence[list[str]]) -> list[str]:
    counter = CountVectorizer(analyzer=_as_is, binary=True, min_df=RAREST).fit(items)
    return [str(name) for name in counter.get_feature_names_out()]


def _matrix(
    items: dict[str, list[list[str]]], names: dict[str, list[str]]
) -> tuple[csr_matrix, dict[str, np.ndarray]]:
    """Rows of unit length in each block, and each block's inverse document frequencies."""
    blocks, scales = [], {}
    for name, grams in items.items():
        counter = CountVectorizer(analyzer=_as_is, binary=True, vocabulary=names[name], dtype=np.float64)
        counts = csr_matrix(counter.transform(grams))
        frequency = np.asarray(counts.sum(axis=0)).ravel()
        scales[name] = np.log((1 + counts.shape[0]) / (1 + frequency)) + 1
        blocks.append(to_unit_length(csr_matrix(counts @ diags_array(scales[name]))))
    return csr_matrix(hstack(blocks)), scales


def _regression(matrix: csr_matrix, target: np.ndarray, weights: np.ndarray, c: float) -> LogisticRegression:
    """Of soft labels: each text counts as hate and as not hate, in part."""
    rows = csr_matrix(vstack([matrix, matrix]))
    labels = np.r_[np.ones(len(target)), np.zeros(len(target))]
    parts = np.r_[weights * target, weights * (1 - target)]
    some = np.flatnonzero(parts)
    solver = LogisticRegression(C=c, solver="liblinear", tol=1e-3, random_state=0)
    return solver.fit(rows[some], labels[some], sample_weight=parts[some])


def _as_is(grams: list[str]) -> list[str]:
    return grams


def report(texts: Sequence[Text], scores: np.ndarray) -> str:
    """How well texts are told apart, as Markdown: of each source, and of each kind of statement.

    Args:
        texts: with what they are.
        scores: (N,) log-odds of hate by a model that did not see them.
    """
    hate = np.array([text.hate > 0.5 for text in texts])
    names = [text.source.split(":")[0] for text in texts]
    kinds = [
        text.source + ", " + text.unit.split()[0] if "statements" in text.source else "" for text in texts
    ]
    lines = ["| texts | number | AUC | hate found | rest left alone |", "|---|---|---|---|---|"]
    for name in dict.fromkeys([*names, *kinds]):
        if not name:
            continue
        inside = np.array([name in each for each in zip(names, kinds, strict=True)])
        both = 0 < hate[inside].sum() < inside.sum()
        area = f"{auc(hate[inside], scores[inside]):.3f}" if both else "–"
        found, left = scores[inside & hate] > 0, scores[inside & ~hate] <= 0
        parts = [f"{part.mean():.2f}" if len(part) else "–" for part in (found, left)]
        lines.append(f"| {name} | {inside.sum()} | {area} | {' | '.join(parts)} |")
    return "\n".join(lines)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--toxigen", type=Path, required=True, help="ToxiGen's annotated_train.csv")
    args = parser.parse_args()
    texts = load_sets(args.data, args.toxigen).general
    print(report(texts, cross_general(texts)))
    others = read_statements("validation", seed=1)
    model = fit_general(texts)
    print("\nThe statements with groups that were not named in training; their patterns were:\n")
    print(report(others, np.array([model.score(text.text) for text in others])))


if __name__ == "__main__":
    main()
