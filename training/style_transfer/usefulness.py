"""Does augmentation by style transfer help a text detector (thesis 3.2.6, Table 3.3)?

    python -m training.style_transfer.usefulness subset --photos 50 --out PHOTOS
    interplay jobs submit augment_dataset -p input=PHOTOS -p output=AUGMENTED -p mode=polygons \\
        -p variants=4 --watch
    python -m training.style_transfer.usefulness run --augmented AUGMENTED --steps 300 --out RUNS

TextFCN compact is trained from the same start with the same number of steps on some of
the 150 training photos: alone, with one and with four restyled variants of each, three
seeds each. The scores are pixel precision, recall and F1 on the 80 held-out photos. The
words of the photos' annotation are restyled (mode polygons), so that no detector trained
on more photos has a part in it. Called again, it goes on where it was.
"""

import argparse
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from safetensors.torch import load_file

from interplay.predictors.text_detection.segmenter import TextSegmenter
from training.datasets.icdar import parse_icdar2015
from training.datasets.sample import Sample
from training.engine import EngineConfig, train
from training.text_detection.data import CropSettings, CropSources, read_rgb
from training.text_detection.evaluate import score_pixels
from training.text_detection.export import export_weights
from training.text_detection.paths import data_dir
from training.text_detection.split import load_part
from training.text_detection.task import TextTask, TextTaskOptions

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def write_subset(data: Path, photos: int, out: Path) -> int:
    """Copies the first training photos, with their ground truth, into an ICDAR folder of their own."""
    out.mkdir(parents=True, exist_ok=True)
    samples = load_part("train", data)[:photos]
    for sample in samples:
        shutil.copy(sample.image, out / sample.image.name)
        name = f"gt_{sample.image.stem}.txt"
        shutil.copy(data / "icdar2015" / "gt" / name, out / name)
    return len(samples)


def read_augmented(folder: Path, variants: int, real_share: float | None = None) -> list[Sample]:
    """The originals and the first variants of each in a folder that `augment_dataset` wrote.

    Args:
        folder: its output.
        variants: how many of each photo to take.
        real_share: repeat the originals until this part of all samples is theirs; None takes each once.
    """
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    names = sorted(row["file"] for row in rows if row["variant"] <= variants)
    if real_share is not None and variants:
        originals = sorted(row["file"] for row in rows if row["variant"] == 0)
        styled = len(names) - len(originals)
        names += originals * round(styled * real_share / (1 - real_share) / len(originals) - 1)
    samples = []
    for name in names:
        path = folder / name
        truth = path.with_name(f"gt_{path.stem}.txt").read_text(encoding="utf-8-sig")
        samples.append(Sample(path, parse_icdar2015(truth)))
    return samples


def train_one(
    samples: list[Sample], steps: int, size: int, batch: int, seed: int, out: Path, precision: str = "fp32"
) -> Path:
    """Trains one TextFCN; returns its last checkpoint."""
    crops = CropSettings(size=size, real_share=1.0, synthetic_share=0.0)
    options = replace(TextTaskOptions(), crops=crops, batch_size=batch)
    task = TextTask(options, CropSources(samples), CropSources(), seed)
    config = EngineConfig(
        out=out, steps=steps, warmup_steps=30, evaluate_every=steps, checkpoint_every=100, keep=1, seed=seed,
        ema_decay=0.98, precision=precision,
    )  # fmt: skip
    return train(task, config)


def load_segmenter(checkpoint: Path) -> TextSegmenter:
    """The serving predictor with a checkpoint's averaged weights."""
    facts = json.loads((checkpoint / "state.json").read_text())
    with tempfile.TemporaryDirectory() as store:
        stored = export_weights(
            load_file(checkpoint / "ema.safetensors"), facts["task"]["model"], Path(store),
            name="textfcn-trial", version=1, training={}, commit=None, data=[],
        )  # fmt: skip
        return TextSegmenter.load(stored, device="auto")


def score(checkpoint: Path, held_out: list[Sample]) -> dict[str, Any]:
    """Pixel scores of a checkpoint's averaged weights through the serving predictor.

    Returns:
        Precision, recall and F1 at a probability of 0.5, and F1 by probability: a detector that is only
        more or less sure of itself has its best elsewhere.
    """
    segmenter = load_segmenter(checkpoint)
    heatmaps = [segmenter.predict([read_rgb(sample.image)])[0] for sample in held_out]
    by_threshold = {str(t): score_pixels(held_out, heatmaps, t)["f1"] for t in THRESHOLDS}
    return {**score_pixels(held_out, heatmaps, 0.5), "f1_by_threshold": by_threshold}


def run(args: argparse.Namespace) -> None:
    """All runs that have no result yet, then the table."""
    cv2.setNumThreads(1)  # data processes are forked after a scoring, and would wait forever for its threads
    args.out.mkdir(parents=True, exist_ok=True)
    held_out = load_part("held_out", args.data)
    rows = []
    for seed in range(args.seeds):
        for variants in args.variants:
            if args.real_share is not None and variants == 0:
                continue  # has real photos alone
            share = "" if args.real_share is None else f"-real{args.real_share:g}"
            folder = args.out / f"variants{variants}{share}-seed{seed}"
            result = folder / "score.json"
            if not result.is_file():
                samples = read_augmented(args.augmented, variants, args.real_share)
                sizes = args.steps, args.size, args.batch_size
                checkpoint = train_one(samples, *sizes, seed, folder, args.precision)
                result.write_text(json.dumps(score(checkpoint, held_out)))
            rows.append({"variants": variants, "seed": seed, **json.loads(result.read_text())})
            print(rows[-1], flush=True)
    print("| variants an image | pixel F1, mean ± standard deviation | by seed | at the best threshold |")
    print("|---|---|---|---|")
    summary = []
    for variants in args.variants:
        scores = [row["f1"] for row in rows if row["variants"] == variants]
        if not scores:
            continue
        mean, spread = float(np.mean(scores)), float(np.std(scores, ddof=1)) if len(scores) > 1 else 0.0
        best = [max(row["f1_by_threshold"].values()) for row in rows if row["variants"] == variants]
        at_best = float(np.mean(best))
        summary.append(
            {"variants": variants, "mean": mean, "std": spread, "scores": scores, "mean_at_best": at_best}
        )
        by_seed = ", ".join(f"{value:.4f}" for value in scores)
        print(f"| {variants} | {mean:.4f} ± {spread:.4f} | {by_seed} | {at_best:.4f} |")
    report = {
        "steps": args.steps,
        "size": args.size,
        "batch_size": args.batch_size,
        "real_share": args.real_share,
        "runs": rows,
        "summary": summary,
    }
    name = "report.json" if args.real_share is None else f"report-real{args.real_share:g}.json"
    (args.out / name).write_text(json.dumps(report, indent=2) + "\n")


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    commands = parser.add_subparsers(dest="command", required=True)
    subset = commands.add_parser("subset", help="write some training photos as an ICDAR data set")
    subset.add_argument("--photos", type=int, default=50)
    subset.add_argument("--out", type=Path, required=True)
    runs = commands.add_parser("run", help="train and score")
    runs.add_argument("--augmented", type=Path, required=True, help="output folder of augment_dataset")
    runs.add_argument(
        "--variants", type=int, nargs="+", default=[0, 1, 4], help="of each photo; default: 0 1 4"
    )
    runs.add_argument("--steps", type=int, default=300)
    runs.add_argument("--size", type=int, default=320, help="side of the crops")
    runs.add_argument("--batch-size", type=int, default=4)
    runs.add_argument("--seeds", type=int, default=3)
    runs.add_argument(
        "--precision", choices=("bf16", "fp32"), default="fp32", help="bf16 where the processor has it"
    )
    runs.add_argument(
        "--real-share", type=float, help="part of the crops that are of real photos; default: as they come"
    )
    runs.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    if args.command == "subset":
        print(f"{write_subset(args.data, args.photos, args.out)} photos -> {args.out}")
    else:
        run(args)


if __name__ == "__main__":
    main()
