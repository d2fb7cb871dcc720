"""Linear models of tweets: training, cross-validation, and a report on tweets held out.

    python -m training.hate_classifier.linear                          cross-validated on train and dev
    python -m training.hate_classifier.linear --held-out --out runs/hate_linear

    tfidf      words 1-2 and letters 2-5, tf-idf, logistic regression
    nb         the same n-grams, present or not, times their log ratio between hate and the rest, then
               logistic regression ("NB-SVM"; Wang and Manning, ACL 2012)
    davidson   Davidson et al. (ICWSM 2017): stems, parts of speech and numbers, chosen by an L1 regression
    mean       the mean of the three's log-odds

Labels are soft by default: each post counts as hate with the part of its annotators that say so. Both
classes weigh the same in total. The settings below were chosen by cross-validation on train and dev.

Nothing that is reported chooses anything: in cross-validation the thresholds of a fold come from posts of
the other folds (each scored by a model that did not see it nor the fold); `--held-out` trains on train and
dev, takes the thresholds from cross-validation there, and scores with the model as it is saved.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.linear_model import LogisticRegression

from interplay.predictors.hate_classifier.linear import BlockConfig, LinearModel, combine
from training.datasets.posts import Post
from training.hate_classifier.agreement import soft_labels
from training.hate_classifier.features import BlockRecipe, LearntBlock, extract
from training.hate_classifier.metrics import (
    BOOTSTRAP,
    Result,
    Thresholds,
    auc,
    choose_thresholds,
    compare_auc,
    evaluate,
)
from training.hate_classifier.split import digest, folds, load_split
from training.text_detection.paths import data_dir

_STEPS, _TOLERANCE = 5000, 1e-6  # of the solver: so fine that its path leaves no mark on scores


@dataclass(frozen=True)
class Recipe:
    """How a linear model is trained.

    Attributes:
        blocks: its features.
        c: inverse strength of the L2 penalty.
        soft: whether labels are the part of the annotators who say hate, or the majority's.
        select_c: if given, only features to which an L1 regression of this inverse strength gives a
            coefficient are kept.
    """

    blocks: tuple[BlockRecipe, ...]
    c: float
    soft: bool = True
    select_c: float | None = None


def _grams(name: str, longest: int, shortest: int = 1, **facts: Any) -> BlockConfig:
    return BlockConfig(name, name, shortest=shortest, longest=longest, **facts)


RECIPES = {
    "tfidf": Recipe(
        (
            BlockRecipe(_grams("words", 2, value="log_count", unit_length=True), "idf", least_posts=2),
            BlockRecipe(_grams("letters", 5, 2, value="log_count", unit_length=True), "idf", least_posts=3),
        ),
        c=0.2,
    ),
    "nb": Recipe(
        (
            BlockRecipe(_grams("words", 2, value="present"), "ratio", least_posts=2),
            BlockRecipe(_grams("letters", 5, 2, value="present"), "ratio", least_posts=3),
        ),
        c=0.02,
    ),
    "davidson": Recipe(
        (
            BlockRecipe(_grams("stems", 3), "idf", False, least_posts=5, most_part=0.75, most=10_000),
            BlockRecipe(_grams("tags", 3), least_posts=5, most_part=0.75, most=5_000),
            BlockRecipe(BlockConfig("numbers", "numbers")),
        ),
        c=0.01,
        select_c=0.05,
    ),
}
MEAN = "mean"

Items = dict[BlockConfig, list[Any]]


class FittedModel:
    """A model with scikit-learn's parts, for scores of many posts; `export` gives what serving loads.

    Args:
        recipe: how to train.
        items: what the blocks see of the training posts.
        labels: (N,) majority labels.
        soft: (N,) soft labels.
    """

    def __init__(self, recipe: Recipe, items: Items, labels: np.ndarray, soft: np.ndarray) -> None:
        target = soft if recipe.soft else labels.astype(np.float64)
        self.blocks = [LearntBlock(block, items[block.config], target) for block in recipe.blocks]
        matrix = self._matrix(items)
        columns = np.arange(matrix.shape[1])
        if recipe.select_c is not None:
            chosen, _ = _regression(matrix, target, recipe.select_c, l1=True)
            columns = np.flatnonzero(chosen)
        self.weights = np.zeros(matrix.shape[1])
        self.weights[columns], self.bias = _regression(matrix[:, columns], target, recipe.c)

    def score(self, items: Items) -> np.ndarray:
        """(N,) log-odds of hate."""
        return self._matrix(items) @ self.weights + self.bias

    def export(self) -> LinearModel:
        """The model as serving loads it."""
        blocks, bias, start = [], self.bias, 0
        for learnt in self.blocks:
            block, more = learnt.export(self.weights[start : start + len(learnt.scale)])
            blocks.append(block)
            bias += more
            start += len(learnt.scale)
        return LinearModel(blocks, bias)

    def _matrix(self, items: Items) -> csr_matrix:
        return csr_matrix(hstack([block.matrix(items[block.recipe.config]) for block in self.blocks]))


def see(posts: Sequence[Post], recipes: Sequence[Recipe]) -> Items:
    """What the recipes' blocks see of the posts, each block once."""
    configs = {block.config for recipe in recipes for block in recipe.blocks}
    return {config: extract(config, posts) for config in configs}


def fit(posts: Sequence[Post], recipe: Recipe) -> FittedModel:
    """Trains on posts with labels.

    Raises:
        ValueError: a post has no label.
    """
    labels, soft = _targets(posts)
    return FittedModel(recipe, see(posts, [recipe]), labels, soft)


def cross_scores(
    items: Items, labels: np.ndarray, soft: np.ndarray, fold: np.ndarray, recipe: Recipe
) -> np.ndarray:
    """(N,) score of each post by the model that is trained on the other folds."""
    scores = np.empty(len(labels))
    for number in np.unique(fold):
        inside = np.flatnonzero(fold == number)
        others = np.flatnonzero(fold != number)
        model = FittedModel(recipe, _rows(items, others), labels[others], soft[others])
        scores[inside] = model.score(_rows(items, inside))
    return scores


def cross_validate(
    posts: Sequence[Post], recipes: dict[str, Recipe], number: int = 5, *, bootstrap: int = BOOTSTRAP
) -> tuple[dict[str, Result], dict[str, np.ndarray]]:
    """Figures of each recipe, and of their mean, over all folds together.

    The AUC is of all posts' scores together, each by the model of its fold.

    Returns:
        The figures and the (N,) scores by name; with several recipes "mean" as well.
    """
    labels, soft = _targets(posts)
    fold = folds(posts, number)
    items = see(posts, list(recipes.values()))
    scores = {name: cross_scores(items, labels, soft, fold, recipe) for name, recipe in recipes.items()}
    if len(recipes) > 1:
        scores[MEAN] = np.mean(list(scores.values()), axis=0)
    thresholds = {name: np.empty((len(posts), 2)) for name in scores}
    for outer in range(number):
        others = np.flatnonzero(fold != outer)
        seen = _rows(items, others)
        inner = {
            name: cross_scores(seen, labels[others], soft[others], fold[others], recipe)
            for name, recipe in recipes.items()
        }
        if len(recipes) > 1:
            inner[MEAN] = np.mean(list(inner.values()), axis=0)
        for name, values in inner.items():
            chosen = choose_thresholds(labels[others], values)
            thresholds[name][fold == outer] = chosen.f, chosen.balanced_accuracy
    results = {
        name: evaluate(labels, values, thresholds[name], bootstrap=bootstrap)
        for name, values in scores.items()
    }
    return results, scores


def train_and_hold_out(
    parts: dict[str, list[Post]], recipes: dict[str, Recipe], number: int = 5
) -> dict[str, tuple[LinearModel, Thresholds, Result]]:
    """Trains on train and dev, takes thresholds from cross-validation there, scores the held-out posts.

    Returns:
        By name (with several recipes "mean" as well): the model, its thresholds, and its figures on the
        held-out posts, scored by the model as serving loads it.
    """
    posts, held_out = parts["train"] + parts["dev"], parts["held_out"]
    labels, soft = _targets(posts)
    items, fold = see(posts, list(recipes.values())), folds(posts, number)
    crossed = {name: cross_scores(items, labels, soft, fold, recipe) for name, recipe in recipes.items()}
    models = {name: FittedModel(recipe, items, labels, soft).export() for name, recipe in recipes.items()}
    if len(recipes) > 1:
        crossed[MEAN] = np.mean(list(crossed.values()), axis=0)
        models[MEAN] = combine(dict(models))
    truth, _ = _targets(held_out)
    found = {}
    for name, model in models.items():
        thresholds = choose_thresholds(labels, crossed[name])
        scores = np.array([model.score(post.text, post.image_text) for post in held_out])
        found[name] = (model, thresholds, evaluate(truth, scores, thresholds))
    return found


def _regression(
    matrix: csr_matrix, target: np.ndarray, c: float, *, l1: bool = False
) -> tuple[np.ndarray, float]:
    """Logistic regression on soft labels, both classes of the same total weight.

    A post of soft label s is two rows: hate of weight s and not hate of weight 1 - s.
    """
    rows = np.concatenate([np.flatnonzero(target > 0), np.flatnonzero(target < 1)])
    hate = np.arange(len(rows)) < np.count_nonzero(target > 0)
    weight = np.where(hate, target[rows], 1 - target[rows])
    total = weight.sum()
    for side in (hate, ~hate):
        if not side.any():
            raise ValueError("both classes are needed to train")
        weight[side] *= total / 2 / weight[side].sum()
    solver: dict[str, Any] = {"l1_ratio": 1.0, "solver": "liblinear", "random_state": 42} if l1 else {}
    model = LogisticRegression(C=c, max_iter=_STEPS, tol=_TOLERANCE, **solver)
    model.fit(csr_matrix(matrix)[rows], hate, sample_weight=weight)
    return model.coef_[0], float(model.intercept_[0])


def _targets(posts: Sequence[Post]) -> tuple[np.ndarray, np.ndarray]:
    for post in posts:
        if post.label is None:
            raise ValueError(f"post {post.id!r} has no label")
    labels = np.array([bool(post.label) for post in posts])
    if all(post.labels for post in posts):
        return labels, soft_labels(posts)
    return labels, labels.astype(np.float64)


def _rows(items: Items, rows: np.ndarray) -> Items:
    return {config: [values[row] for row in rows] for config, values in items.items()}


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--models", nargs="+", choices=sorted(RECIPES), default=sorted(RECIPES))
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--hard", action="store_true", help="train on majority labels")
    parser.add_argument("--held-out", action="store_true", help="the final figures, on the held-out posts")
    parser.add_argument("--out", type=Path, help="folder to save the models in; needs --held-out")
    args = parser.parse_args()
    if args.out is not None and not args.held_out:
        parser.error("--out needs --held-out")
    parts = load_split(args.data)
    recipes = {name: RECIPES[name] for name in args.models}
    if args.hard:
        recipes = {name: Recipe(**{**vars(recipe), "soft": False}) for name, recipe in recipes.items()}
    posts = parts["train"] + parts["dev"]
    if not args.held_out:
        results, scores = cross_validate(posts, recipes, args.folds)
        for name, result in results.items():
            print(f"{name}: cross-validated on {result.posts} posts, {args.folds} folds\n{result.lines()}")
        labels = np.array([bool(post.label) for post in posts])
        best = max(scores, key=lambda name: auc(labels, scores[name]))
        for name in sorted(set(scores) - {best}):
            found = compare_auc(labels, scores[best], scores[name])
            low, high = found.interval
            around = f"[{low:+.4f}, {high:+.4f}], p {found.p:.3f}"
            print(f"AUC of {best} less {name}: {found.difference:+.4f} {around}")
        return
    for name, (model, thresholds, result) in train_and_hold_out(parts, recipes, args.folds).items():
        print(f"{name}: trained on {len(posts)} posts, {result.posts} held out\n{result.lines()}")
        if args.out is not None:
            model.save(args.out / name)
            report = {"split": digest(parts), "thresholds": asdict(thresholds), "held_out": asdict(result)}
            (args.out / name / "report.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
