"""Draws what `training.hate_classifier.export` measured.

    python -m training.hate_classifier.figures --result OUT --images docs/images

hate-reliability.png: of posts of about one probability, how many people called hate. hate-scores.png: how
the probabilities of hate and of the rest lie, and the ROC curve. Prints the model card's table of errors.
"""

import argparse
import json
from pathlib import Path

import matplotlib
import numpy as np
from sklearn.metrics import roc_curve

from interplay.predictors.hate_classifier.fusion import wilson
from training.hate_classifier.errors import table

matplotlib.use("Agg")
import matplotlib.pyplot as plt

BINS = 10
_INK, _HATE, _REST = "#333333", "#b5382a", "#4c78a8"


def reliability(probability: np.ndarray, labels: np.ndarray, number: int = BINS) -> np.ndarray:
    """(number, 4): mean probability, share of hate, and its 95 % interval, of bins of equal size."""
    order = np.argsort(probability, kind="stable")
    rows = []
    for part in np.array_split(order, number):
        low, high = wilson(int(labels[part].sum()), len(part))
        rows.append((probability[part].mean(), labels[part].mean(), low, high))
    return np.array(rows)


def draw_reliability(sets: dict[str, tuple[np.ndarray, np.ndarray]], file: Path) -> None:
    """Reliability plots side by side, of probabilities and labels by title."""
    figure, axes = plt.subplots(1, len(sets), figsize=(4 * len(sets), 4), squeeze=False)
    for axis, (title, (probability, labels)) in zip(axes[0], sets.items(), strict=True):
        rows = reliability(probability, labels)
        axis.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
        errors = np.abs(rows[:, 2:].T - rows[:, 1])
        axis.errorbar(rows[:, 0], rows[:, 1], yerr=errors, fmt="o", color=_INK, capsize=2, markersize=4)
        axis.set(xlim=(0, 1), ylim=(0, 1), title=f"{title} ({len(labels)})", xlabel="probability")
        axis.set_ylabel("called hate by people")
        axis.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(file, dpi=90)
    plt.close(figure)


def draw_scores(probability: np.ndarray, labels: np.ndarray, file: Path) -> None:
    """Histogram of the probabilities of both classes, and the ROC curve."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4))
    edges = np.linspace(0, 1, 26)
    left.hist(probability[~labels], edges, alpha=0.6, color=_REST, label="not hate")
    left.hist(probability[labels], edges, alpha=0.6, color=_HATE, label="hate")
    left.set(xlabel="probability", ylabel="posts", title="held-out tweets")
    left.legend(frameon=False)
    wrong, right_rate, _ = roc_curve(labels, probability)
    right.plot([0, 1], [0, 1], color="#bbbbbb", linewidth=1)
    right.plot(wrong, right_rate, color=_INK)
    right.set(xlabel="false alarms", ylabel="hate that is found", title="ROC", xlim=(0, 1), ylim=(0, 1))
    right.set_aspect("equal")
    figure.tight_layout()
    figure.savefig(file, dpi=90)
    plt.close(figure)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--result", type=Path, required=True, help="OUT of training.hate_classifier.export")
    parser.add_argument("--images", type=Path, default=Path("docs/images"), help="default: docs/images")
    args = parser.parse_args()
    scores = np.load(args.result / "scores.npz")
    draw_reliability(
        {
            "held-out tweets": (scores["held_out"], scores["held_out_labels"]),
            "memes, out of fold": (scores["memes"], scores["meme_labels"]),
        },
        args.images / "hate-reliability.png",
    )
    draw_scores(scores["held_out"], scores["held_out_labels"], args.images / "hate-scores.png")
    print(table(json.loads((args.result / "result.json").read_text())["errors"]))


if __name__ == "__main__":
    main()
