"""Compares text models, losses, noise and sources of photos (thesis Tables 4.1, 4.2 and 4.3).

    python -m training.embedding.compare --text TEXT --features FEATURES --out COMPARE \\
        [--models glove-tfidf word2vec-mean …] [--losses sigmoid contrastive] [--noise 0 0.1 0.2 0.3] \\
        [--train-part flickr_train] [--part flickr_test]

Trains a head for every combination, scores it on the photos of --part and prints a table: mean P@5 of
100 queries of one word and 100 of two, chosen by frequency, with 95 % intervals (bootstrap over queries).
Called again, it goes on where it was.
"""

import argparse
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.torch import load_file

from training.embedding.data import PARTS, load_part
from training.embedding.scores import bootstrap
from training.embedding.task import LOSSES, HeadTaskOptions
from training.embedding.text.models import NAMES
from training.embedding.text.train import load_text
from training.embedding.train import SearchSet, load_features, train_head
from training.engine import EngineConfig


def result_of(scores: dict[str, np.ndarray]) -> dict[str, Any]:
    """Mean and interval of all queries, of those of one word and of those of two."""
    groups = {"all": np.concatenate([scores["single"], scores["two"]]), **scores}
    return {
        name: {"p5": float(values.mean()), "interval": bootstrap(values), "queries": len(values)}
        for name, values in groups.items()
    }


def cell(result: dict[str, Any]) -> str:
    """One cell of a table: mean and interval."""
    low, high = result["interval"]
    return f"{result['p5']:.3f} ({low:.2f}-{high:.2f})"


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, required=True, help="folder of training.embedding.text.train")
    parser.add_argument("--features", type=Path, required=True, help="folder of training.embedding.features")
    parser.add_argument("--models", nargs="+", default=list(NAMES))
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=["sigmoid"])
    parser.add_argument("--noise", nargs="+", type=float, default=[0.0])
    parser.add_argument("--tune-words", action="store_true")
    parser.add_argument("--hidden", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--train-part", choices=PARTS, default="train", help="photos to train on")
    parser.add_argument("--part", choices=PARTS, default="held_out", help="photos to score on")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    items, features = load_part(args.train_part), load_features(args.features, args.train_part)
    dev = SearchSet.of(load_part("dev"), load_features(args.features, "dev"))
    scored = SearchSet.of(load_part(args.part), load_features(args.features, args.part))
    lines = ["| text model | loss | noise | all | one word | two words |", "|---|---|---|---|---|---|"]
    for name, loss, noise in product(args.models, args.losses, args.noise):
        tuned = "-tuned" if args.tune_words else ""
        folder = args.out / f"{args.train_part}-{name}-{loss}-{noise:g}-{args.hidden}{tuned}-seed{args.seed}"
        file = folder / f"{args.part}.json"
        if not file.is_file():
            options = HeadTaskOptions(loss=loss, noise=noise, hidden=args.hidden, tune_words=args.tune_words)
            config = EngineConfig(
                out=folder, steps=args.steps, precision="fp32", seed=args.seed, keep=1, ema_decay=0.998,
                evaluate_every=args.steps,
            )  # fmt: skip
            task, checkpoint = train_head(
                load_text(args.text / f"{name}.npz"), options, items, features, dev, config
            )
            task.model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
            scores = scored.scores(task.model, task.table_of(task.model))
            file.write_text(json.dumps(result_of(scores), indent=2) + "\n")
        result = json.loads(file.read_text())
        cells = " | ".join(cell(result[group]) for group in ("all", "single", "two"))
        lines.append(f"| {name}{tuned} | {loss} | {noise:.0%} | {cells} |")
        print(lines[-1], flush=True)
    (args.out / f"table-{args.train_part}-{args.part}.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
