"""Trains TextFCN.

    python -m training.text_detection.train --preset compact --out RUN --pool POOL \\
        --text-free text_free.txt --minutes 85
    python -m training.text_detection.train --smoke

The first needs the data folder (INTERPLAY_DATA_DIR) and, for the shipped model's
recipe, a pool of `training.synth.generate` and the photos of INTERPLAY_EXTRA_PHOTOS;
docs/text_detection.md spells it out. Calling it again on the same RUN resumes. On
several GPUs: `torchrun --nproc-per-node N -m training.text_detection.train ...`.
`--smoke` trains for some seconds on drawn scenes, exports, loads the export as a
server would and says so.
"""

import argparse
import logging
import tempfile
from dataclasses import replace
from pathlib import Path

from training.engine import EngineConfig, train
from training.text_detection.data import CropSettings, CropSources, read_pool
from training.text_detection.paths import data_dir, photos_dir
from training.text_detection.split import load_part
from training.text_detection.task import TextTask, TextTaskOptions

# The original sums the loss over 512 × 512 pixels at a rate of 1e-12; ours is averaged.
PAPER_RATE = 1e-12 * 512 * 512


def recipe(
    preset: str, out: Path, minutes: float | None, steps: int | None
) -> tuple[TextTaskOptions, EngineConfig]:
    """The options of a preset.

    `paper`: SGD at a fixed rate, momentum 0.99, weight decay 5e-4, one image a step, no
    augmentation, labels at full resolution, 104,000 steps (that of the released model).
    `compact`: AdamW with warm-up and cosine, batch 6, EMA.
    """
    if preset == "paper":
        crops = CropSettings(label_stride=1, shrink_ratio=1.0, augment=False)
        options = TextTaskOptions(
            model={"preset": "paper"}, crops=crops, batch_size=1, head_rate=PAPER_RATE, frozen_for_cpu=False
        )
        config = EngineConfig(
            out=out,
            steps=steps or 104_000,
            max_minutes=minutes,
            optimizer="sgd",
            momentum=0.99,
            weight_decay=5e-4,
            schedule="constant",
            warmup_steps=1,
            clip_norm=0.0,
            evaluate_every=4000,
            checkpoint_every=4000,
        )
        return options, config
    return TextTaskOptions(), EngineConfig(
        out=out, steps=steps or 10_000, max_minutes=minutes, warmup_steps=80
    )


def load_sources(args: argparse.Namespace) -> tuple[CropSources, CropSources]:
    """Training and dev sources from the command line's paths."""
    pool = read_pool(args.pool) if args.pool else []
    names = args.text_free.read_text().split() if args.text_free else []
    text_free = [args.photos / name for name in names]
    return CropSources(load_part("train", args.data), pool, text_free), CropSources(
        load_part("dev", args.data)
    )


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", choices=("compact", "paper"), default="compact")
    parser.add_argument("--out", type=Path, help="folder of the run; resumed if it has checkpoints")
    parser.add_argument("--pool", type=Path, help="folder of training.synth.generate")
    parser.add_argument("--text-free", type=Path, help="list of training.synth.photos")
    parser.add_argument("--photos", type=Path, default=photos_dir(), help="folder of those photos")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--vgg16", type=Path, help="torchvision's VGG-16 state dict, for --preset paper")
    parser.add_argument("--minutes", type=float, help="end the schedule after so many minutes")
    parser.add_argument("--steps", type=int, help="end the schedule after so many steps")
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="bf16")
    parser.add_argument("--workers", type=int, default=1, help="data processes (default 1)")
    parser.add_argument(
        "--train-all", action="store_true", help="train depthwise filters and early layers too (GPU)"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--smoke", action="store_true", help="seconds on drawn scenes, ending in a checked export"
    )
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if args.smoke:
        from training.text_detection.smoke import run_smoke

        with tempfile.TemporaryDirectory() as folder:
            run_smoke(args.out or Path(folder), args.preset, args.seed)
        return
    if args.out is None:
        parser.error("--out is required unless --smoke is given")
    options, config = recipe(args.preset, args.out, args.minutes, args.steps)
    config = replace(
        config, device=args.device, precision=args.precision, workers=args.workers, seed=args.seed
    )
    options = replace(options, frozen_for_cpu=options.frozen_for_cpu and not args.train_all)
    if args.batch_size:
        options = replace(options, batch_size=args.batch_size)
    task = TextTask(options, *load_sources(args), seed=args.seed)
    if args.vgg16 is not None:
        from training.text_detection.vgg import load_vgg16

        load_vgg16(task.model, args.vgg16)
    print(f"last checkpoint: {train(task, config)}")


if __name__ == "__main__":
    main()
