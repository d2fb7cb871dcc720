"""Trains a style model.

    python -m training.style_transfer.train --model scene --out RUN --pool POOL --minutes 50
    python -m training.style_transfer.train --model print --fonts FONTS --init RUN --out RUN2 --minutes 20

It needs the data folder (INTERPLAY_DATA_DIR); docs/style_transfer.md spells out the
recipe of the shipped models. Calling it again on the same RUN resumes. `--init` starts
the convolutions from another run's. On several GPUs: `torchrun --nproc-per-node N -m ...`.
"""

import argparse
import json
import logging
import os
from dataclasses import replace
from pathlib import Path

from safetensors.torch import load_file

from training.checkpoints import latest_checkpoint
from training.engine import EngineConfig, train
from training.style_transfer.sources import MODELS, load_content, load_perceptual, load_styles
from training.style_transfer.task import StyleTask, StyleTaskOptions
from training.text_detection.data import read_pool
from training.text_detection.paths import data_dir, photos_dir


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", choices=MODELS, required=True)
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of the run; resumed if it has checkpoints"
    )
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    parser.add_argument("--photos", type=Path, default=photos_dir(), help="folder of photos")
    parser.add_argument("--pool", type=Path, help="folder of training.synth.generate")
    parser.add_argument("--fonts", type=Path, help="folder with the fonts of fonts.txt")
    parser.add_argument("--content-fonts", type=Path, help="folder of fonts for drawn content (*.ttf, *.otf)")
    parser.add_argument(
        "--perceptual", type=Path, help="default: weights/vgg_normalised_conv3_1.pth of the data"
    )
    parser.add_argument("--init", type=Path, help="run to start from")
    parser.add_argument("--minutes", type=float, help="end the schedule after so many minutes")
    parser.add_argument(
        "--steps", type=int, default=40_000, help="end it after so many steps (default 40000)"
    )
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--size", type=int, help="side of the crops")
    parser.add_argument("--content-weight", type=float)
    parser.add_argument("--paper-weight", type=float)
    parser.add_argument("--style-weights", type=float, nargs="+")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--precision", choices=("bf16", "fp32"), default="fp32")
    parser.add_argument("--workers", type=int, default=1, help="data processes (default 1)")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    styles = load_styles(args.model, args.data, args.fonts)
    photos = sorted(args.photos.glob("*.jpg"))
    fonts = sorted(
        p for p in (args.content_fonts or Path(os.devnull)).glob("*") if p.suffix in (".ttf", ".otf")
    )
    pool = read_pool(args.pool) if args.pool else []
    content, dev = load_content(args.model, args.data, photos, pool, fonts)
    options = StyleTaskOptions(tuple(style.name for style in styles))
    given = {
        "batch_size": args.batch_size,
        "size": args.size,
        "content_weight": args.content_weight,
        "paper_weight": args.paper_weight,
        "style_weights": tuple(args.style_weights) if args.style_weights else None,
    }
    options = replace(options, **{key: value for key, value in given.items() if value is not None})
    perceptual = load_perceptual(args.perceptual or args.data / "weights" / "vgg_normalised_conv3_1.pth")
    task = StyleTask(options, styles, perceptual, content, dev, args.seed)
    if args.init is not None:
        start_from(task, args.init)
    config = EngineConfig(
        out=args.out,
        steps=args.steps,
        max_minutes=args.minutes,
        weight_decay=0.0,
        precision=args.precision,
        device=args.device,
        workers=args.workers,
        seed=args.seed,
    )
    print(f"last checkpoint: {train(task, config)}")


def start_from(task: StyleTask, run: Path) -> None:
    """Starts from another run's averaged weights.

    A run of the same styles is taken as it is. Otherwise every style starts from the
    mean of the run's styles, in its own colours.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint to start from")
    state = load_file(checkpoint / "ema.safetensors")
    styles = json.loads((checkpoint / "state.json").read_text())["task"]["styles"]
    if styles != list(task.options["styles"]):
        for key in ("gamma", "beta"):
            own = getattr(task.model, key).detach()
            state[key] = state[key].mean(0, keepdim=True).expand(len(own), -1).clone()
            state[key][:, -3:] = own[:, -3:]
    task.model.load_state_dict(state)


if __name__ == "__main__":
    main()
