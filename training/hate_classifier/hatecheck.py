"""HateCheck (Röttger et al., ACL 2021): cases written to find out what a classifier of hate cannot do.

    python -m training.hate_classifier.hatecheck --cases test_suite_cases.csv
    python -m training.hate_classifier.hatecheck --cases test_suite_cases.csv --toxigen annotated_train.csv

Scores every case through the serving predictor at the published threshold and prints Markdown: totals, and
which share of each kind of case and of each group's cases is answered rightly. Nothing is learnt or chosen
here. With `--toxigen` it also counts the cases that say the same as a text that the general model learnt
from, and gives the totals without them. No case is ever printed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from interplay.predictors.hate_classifier.answers import PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.predictors.hate_classifier.fusion import wilson
from interplay.predictors.hate_classifier.text import content_words, tokens
from training.datasets.posts import HateCheckCase, read_hatecheck
from training.hate_classifier.metrics import Thresholds, evaluate, f_score
from training.hate_classifier.scoring import probabilities
from training.hate_classifier.sets import load_sets
from training.text_detection.paths import data_dir


def rows(
    cases: Sequence[HateCheckCase], probability: np.ndarray, threshold: float, by: str
) -> list[tuple[str, int, float, float, float]]:
    """Which share of cases is answered rightly.

    Args:
        cases: the suite.
        probability: (N,) of hate.
        threshold: from which a case is called hate.
        by: "functionality" or "group".

    Returns:
        In the order of the suite: what, how many cases, the share, and Wilson's 95 % interval of it.
    """
    right = np.array([case.label for case in cases]) == (probability >= threshold)
    names = [getattr(case, by) for case in cases]
    found = []
    for name in dict.fromkeys(names):
        inside = np.array([each == name for each in names])
        low, high = wilson(int(right[inside].sum()), int(inside.sum()))
        found.append((name, int(inside.sum()), float(right[inside].mean()), low, high))
    return found


def table(found: Sequence[tuple[str, int, float, float, float]], what: str) -> str:
    """What `rows` found, as Markdown."""
    lines = [f"| {what} | cases | answered rightly |", "|---|---|---|"]
    lines += [
        f"| {name or 'none'} | {number} | {share:.2f} [{low:.2f}, {high:.2f}] |"
        for name, number, share, low, high in found
    ]
    return "\n".join(lines)


def totals(labels: np.ndarray, probability: np.ndarray, threshold: float) -> str:
    """One row of Markdown: cases, F of hate and of the rest, AUC, balanced accuracy, recall of both."""
    result = evaluate(labels, probability, Thresholds(threshold, threshold))
    around = {name: f" [{low:.3f}, {high:.3f}]" for name, (low, high) in result.intervals.items()}
    called = probability >= threshold
    rest = f_score(~labels, -probability, np.nextafter(-threshold, 1))  # called hate from the threshold on
    return (
        f"| {len(labels)} | {result.f:.3f}{around['f']} | {rest:.3f} | {result.auc:.3f}{around['auc']} "
        f"| {result.balanced_accuracy:.3f}{around['balanced_accuracy']} "
        f"| {np.mean(called[labels]):.3f} | {np.mean(~called[~labels]):.3f} |"
    )


def said(text: str) -> str:
    """A text's words alone: two texts that differ in signs say the same."""
    return " ".join(content_words(tokens(text)))


TOTALS = (
    "| cases | F of hate | F of the rest | AUC | balanced accuracy | hate found | rest left alone |\n"
    "|---|---|---|---|---|---|---|"
)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=Path, required=True, help="HateCheck's test_suite_cases.csv")
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument(
        "--toxigen", type=Path, help="annotated_train.csv: counts cases that were learnt from"
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--version", type=int, help="of hate-classifier; default: the newest")
    args = parser.parse_args()
    cases = list(read_hatecheck(args.cases))
    classifier = HateClassifier.open(args.store, args.version, device="cpu", threads=1)
    probability, _ = probabilities(classifier, [PostItem(case.text) for case in cases])
    labels = np.array([case.label for case in cases])
    manifest, threshold = classifier.manifest, classifier.threshold
    print(f"{manifest.name} {manifest.version}, threshold {threshold:.3f}\n")
    print(TOTALS)
    print(totals(labels, probability, threshold))
    if args.toxigen is not None:
        learnt = {said(text.text) for text in load_sets(args.data, args.toxigen).general}
        new = np.array([said(case.text) not in learnt for case in cases])
        print(totals(labels[new], probability[new], threshold))
        print(f"\nThe second row is without {np.sum(~new)} cases that say the same as a text learnt from.")
    for by, what in (("functionality", "kind of case"), ("group", "group")):
        print("\n" + table(rows(cases, probability, threshold, by), what))


if __name__ == "__main__":
    main()
