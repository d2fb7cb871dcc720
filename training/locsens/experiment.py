"""Trains every method of thesis chapter 5 on a world and writes its tables and curves.

    python -m training.locsens.experiment --world WORLD --features FEATURES --out OUT [--part val]

OUT/images, scorers   runs of training.engine
OUT/results.json      P@10 of every query at every threshold, tagging scores, with and without the own image
OUT/tables.md         the thesis's Tables 5.1 and 5.2, with 95 % intervals (bootstrap over tags or photos)
OUT/sigma.png         the curves of Fig. 5.4

Settings were chosen with --part val; the test photos decide nothing. Called again, it goes on where it was:
what is trained is only asked again. Numbers of a simulated world say so in their titles.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from interplay.models.locsens import COMPACT, PAPER, LocSens, LocSensConfig
from interplay.predictors.locsens.image import unit
from interplay.predictors.locsens.scorer import TripletScorer
from training.embedding.scores import group_bootstrap
from training.locsens.data import TaggedPhotos, load_photos
from training.locsens.features import load_features, network_of
from training.locsens.methods import (
    ByScorer,
    ByTag,
    image_vectors,
    read_words,
    tag_scores,
    train_image_model,
    train_scorer,
)
from training.locsens.protocol import (
    THRESHOLD_NAMES,
    make_queries,
    retrieval_precision,
    tag_precision,
    tagging_scores,
    upper_bound,
)
from training.locsens.scorer_task import SIGMAS, ScorerData, Stage, schedule_of
from training.locsens.tables import draw_sigma, write_tables

DIMENSIONS = {"compact": 128, "paper": 300}
CONFIGS = {"compact": COMPACT, "paper": PAPER}
# Of the compact preset. A tag can be one of a town. What photos look like is not a town's own: with shorter
# waves a scorer for retrieval learns training photos by heart (a world's val photos).
SCALES = {"retrieval": 9, "tagging": 13}


def image_methods(
    train: TaggedPhotos, test: TaggedPhotos, features: dict[str, np.ndarray], out: Path, *,
    dimension: int, steps: int, seed: int, words: np.ndarray | None = None,
) -> tuple[dict[str, ByTag], dict[str, float], dict[str, np.ndarray]]:  # fmt: skip
    """MLC, MCC and HER: as methods, their P@10 of plain retrieval, and MCC's vectors.

    Features may be of any width; for `dimension` and `words` see `train_image_model`.

    Returns:
        Methods by name; plain P@10 by name; "train", "test" (N, D) and "tags" (V, D) of length one.
    """
    methods, plain = {}, {}
    mlc = train_image_model(
        "mlc", train, features["train"], out / "mlc", steps=steps, dimension=dimension, seed=seed
    )
    scores = tag_scores(mlc, features["test"])
    methods["MLC"] = ByTag(scores)
    plain["MLC"] = float(tag_precision(test.protocol, np.eye(len(scores)), scores.T).mean())
    mcc = train_image_model(
        "mcc", train, features["train"], out / "mcc", steps=steps, dimension=dimension, seed=seed
    )
    vectors = {
        "train": unit(image_vectors(mcc, features["train"])),
        "test": unit(image_vectors(mcc, features["test"])),
        "tags": unit(mcc.classes.weight.detach().numpy()),
    }
    methods["MCC"] = ByTag(vectors["test"] @ vectors["tags"].T)
    methods["MCC, softmax"] = ByTag(tag_scores(mcc, features["test"]))
    plain["MCC"] = float(tag_precision(test.protocol, vectors["test"], vectors["tags"]).mean())
    her = train_image_model(
        "her", train, features["train"], out / "her", steps=steps, dimension=dimension, words=words, seed=seed
    )
    words = unit(load_file(out / "her" / "words.safetensors")["words"])
    images = unit(image_vectors(her, features["test"]))
    methods["HER (GloVe)"] = ByTag(images @ words.T)
    plain["HER (GloVe)"] = float(tag_precision(test.protocol, images, words).mean())
    return methods, plain, vectors


def scorers(
    data: ScorerData, config: LocSensConfig, out: Path, *, steps: int, tagging_steps: int, seed: int
) -> tuple[dict[tuple[str, str], LocSens], dict[str, list[dict[str, Any]]]]:
    """Every LocSens model by task and name, and the whole schedule that each has gone through."""
    made: dict[tuple[str, str], LocSens] = {}
    schedules: dict[str, list[dict[str, Any]]] = {}

    def add(task: str, name: str, schedule: Sequence[Stage], start: tuple[str, str] | None = None) -> None:
        before = schedules[" ".join(start)] if start else []
        schedules[f"{task} {name}"] = before + [asdict(stage) for stage in schedule]
        scales = SCALES[task] if config.scales else 0
        made[task, name] = train_scorer(
            data, replace(config, scales=scales), task, schedule, run_folder(out, task, name),
            start=run_folder(out, *start) if start else None, seed=seed,
        )  # fmt: skip

    for variant in ("zeroed", "raw"):
        add("tagging", variant, schedule_of(variant, tagging_steps))
    for variant in ("zeroed", "raw", "dropout"):
        add("retrieval", variant, schedule_of(variant, steps))
    start = None
    stages = schedule_of("sampling", steps)
    for stage, sigma in zip(stages, SIGMAS, strict=True):
        add("retrieval", f"sampling {sigma:g}", (stage,), start)
        start = "retrieval", f"sampling {sigma:g}"
    return made, schedules


def run_folder(out: Path, task: str, name: str) -> Path:
    """Folder of a scorer's run; `name` as in the tables."""
    return out / "scorers" / f"{task}-{name.replace(' ', '-')}"


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Train, evaluate, and give the results as plain data."""
    train, test = load_photos(args.world, "train"), load_photos(args.world, args.part)
    features = {
        "train": load_features(args.features, "train", train),
        "test": load_features(args.features, args.part, test),
    }
    known, plain, vectors = image_methods(
        train, test, features, args.out / "images",
        dimension=DIMENSIONS[args.preset], steps=args.image_steps, seed=args.seed,
        words=read_words(args.words, train.vocabulary) if args.words else None,
    )  # fmt: skip
    data = ScorerData(vectors["train"], vectors["tags"], train.tags, train.places, train.digest())
    base = CONFIGS[args.preset]
    config = replace(base, image=vectors["train"].shape[1], tag=vectors["tags"].shape[1])
    trained, schedules = scorers(
        data, config, args.out, steps=args.steps, tagging_steps=args.tagging_steps, seed=args.seed
    )

    queries = make_queries(test.protocol, args.seed)
    results: dict[str, Any] = {
        "simulated": json.loads((args.world / "world.json").read_text())["simulated"],
        "preset": args.preset, "seed": args.seed, "part": args.part, "photos": len(test.photos),
        "features_of": network_of(args.features),
        "queries": len(queries), "schedules": schedules, "thresholds": list(THRESHOLD_NAMES),
        "plain_p10": plain, "retrieval": {}, "tagging": {},
    }  # fmt: skip

    def retrieval(name: str, precision: Callable[[bool], np.ndarray]) -> None:
        # Queries of a tag have much of their ranking in common, so tags are drawn.
        tags = np.array([query.tag for query in queries])
        results["retrieval"][name] = {
            key: summary(precision(own), tags) for key, own in (("without_own", False), ("with_own", True))
        }

    def tagging(name: str, best: np.ndarray) -> None:
        scores = tagging_scores(test.protocol, best)
        results["tagging"][name] = {
            "at_1": summary(scores.at_1[:, None]), "at_10": summary(scores.at_10[:, None]),
            "predicted": scores.predicted, "rightly": scores.rightly,
        }  # fmt: skip

    retrieval("Upper bound", lambda own: upper_bound(test.protocol, queries, own=own))
    frequency = np.tile(np.arange(10), (len(test.photos), 1))  # the vocabulary is ordered by it
    tagging("Global frequency", frequency)
    for name, method in known.items():
        if name != "MCC, softmax":
            retrieval(name, lambda own, m=method: retrieval_precision(test.protocol, queries, m, own=own))
        if name != "MCC":
            tagging(name.partition(",")[0], method.best_tags())
    for (task, name), model in trained.items():
        scorer = TripletScorer(model, vectors["tags"])
        asked = ByScorer(scorer, vectors["test"], test.places, silent=name == "zeroed")
        print(f"evaluating {task} {name}", flush=True)
        if task == "retrieval":
            retrieval(
                f"LocSens, {name}",
                lambda own, m=asked: retrieval_precision(test.protocol, queries, m, own=own),
            )
        else:
            tagging(f"LocSens, {name}", asked.best_tags())
    return results


def summary(values: np.ndarray, groups: np.ndarray | None = None) -> list[dict[str, Any]]:
    """Mean and 95 % interval of each column, of rows or of groups of rows drawn with replacement."""
    if groups is None:
        groups = np.arange(len(values))
    return [
        {"mean": float(column.mean()), "interval": group_bootstrap(column.astype(np.float64), groups)}
        for column in values.T
    ]


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, required=True, help="folder of training.locsens.world")
    parser.add_argument(
        "--features", type=Path, required=True, help="folder of training.locsens.features, or .paper"
    )
    parser.add_argument("--preset", choices=tuple(CONFIGS), default="compact")
    parser.add_argument("--words", type=Path, help="vectors for HER, in GloVe's format; default: by tags")
    parser.add_argument(
        "--part", choices=("val", "test"), default="test", help="what is asked; default: test"
    )
    parser.add_argument("--image-steps", type=int, default=6000)
    parser.add_argument("--steps", type=int, default=1500, help="for retrieval; a fifth for each σ")
    parser.add_argument("--tagging-steps", type=int, default=5000, help="of each model for tagging")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    results = run(args)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (args.out / "tables.md").write_text(write_tables(results))
    draw_sigma(results, args.out / "sigma.png")
    print((args.out / "tables.md").read_text())


if __name__ == "__main__":
    main()
