"""Trains the thesis's image models whole, from pixels: MLC, MCC and HER on ResNet-50 (thesis 5.3.1).

    python -m training.locsens.paper --world WORLD --kind mcc --out RUN --weights FILE
    python -m training.locsens.paper --world WORLD --kind mcc --out RUN --features FEATURES
    python -m training.locsens.experiment --preset paper --world WORLD --features FEATURES --out OUT
    python -m training.locsens.export --world WORLD --experiment OUT --paper RUN --version 1

The first form trains; called again, it goes on where it was. The second, with the same settings, also writes
what the trained ResNet-50 says of all photos, in the form of `training.locsens.features`, on which the third
trains its heads and LocSens. The last publishes the network with them.

Photos are seen with a shorter side of 300, of which 224 x 224 are cut out: at random and mirrored by a coin
to train, from the middle otherwise. SGD with momentum 0.9 and weight decay 1e-4, ImageNet's weights to begin
with, a layer of 300 numbers. Scores while training are those of val photos.

Unlike the thesis's code: RGB normalised as torchvision's weights want it (not BGR in [0, 255]), photos
mirrored half of the time (not always), no photos replaced, a cosine schedule and averaged weights (not rates
lowered by hand), and for MLC a loss summed over tags with positives of weight 1 by default: its rate and
weight in the thesis are not known.
"""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from interplay.models.image_embedding import RESNET50_FEATURES, ResNet50Features
from interplay.models.tag_head import KINDS, TagHead, TagHeadConfig
from interplay.predictors.locsens.image import unit
from interplay.store import sha256_file
from training.checkpoints import latest_checkpoint
from training.datasets.captions import CaptionedImage
from training.engine import EngineConfig, choose_device, train
from training.locsens.data import PARTS, TaggedPhotos, load_photos
from training.locsens.features import NETWORK_FILE, photo_items
from training.locsens.image_task import tag_loss
from training.locsens.methods import read_words, tag_words
from training.locsens.paper_photos import DEFAULTS, Centres, PaperOptions, TrainingPhotos, as_input
from training.locsens.protocol import TOP, TaggedPlaces, tagging_scores

IMAGENET = "IMAGENET1K_V1"  # of torchvision; those of the thesis's time
_BATCH = 64


class TaggingNetwork(nn.Module):
    """Backbone and head.

    Args:
        backbone: gives features.
        head: maps them to what its kind says.
    """

    def __init__(self, backbone: nn.Module, head: TagHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB to what `TagHead` gives."""
        y: torch.Tensor = self.head(self.backbone(x))
        return y


class PaperTask:
    """The engine's task of the thesis's image models; see `training.engine.Task`.

    Args:
        options: how it is trained.
        photos: to learn from.
        items: their files.
        evaluate: scores of a network; called with the averaged weights.
        seed: of everything random.
        words: (V, D) float32 for "her".
        backbone: to start from; random by default.
    """

    def __init__(
        self,
        options: PaperOptions,
        photos: TaggedPhotos,
        items: Sequence[CaptionedImage],
        evaluate: Callable[[TaggingNetwork], dict[str, float]],
        seed: int,
        words: np.ndarray | None = None,
        backbone: ResNet50Features | None = None,
    ) -> None:
        if options.kind == "her" and words is None:
            raise ValueError("HER regresses word vectors: give them")
        torch.manual_seed(seed)
        dimension = options.dimension if words is None else words.shape[1]
        config = TagHeadConfig(options.kind, RESNET50_FEATURES, dimension, len(photos.vocabulary))
        self.model = TaggingNetwork(backbone or ResNet50Features(), TagHead(config))
        self.dataset = TrainingPhotos(items, photos.tags, options, seed, words)
        self.batch_size = options.batch_size
        self.options = {**asdict(options), "head": asdict(config)}
        self.data_digest = photos.digest()
        self._options, self._evaluate = options, evaluate

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `Task`."""
        return [{"params": list(self.model.parameters()), "lr": self._options.rate}]

    def set_train(self, model: nn.Module) -> None:
        """See `Task`."""
        model.train()

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `Task`."""
        answers, target, kind = model(as_input(batch["photo"])), batch["target"], self._options.kind
        if kind == "mlc":
            target = torch.zeros_like(answers, dtype=torch.float32).scatter_(1, target, 1.0)
        value = tag_loss(kind, answers, target, self._options.positive_weight)
        return value, {kind: value.detach()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """See `Task`."""
        assert isinstance(model, TaggingNetwork)
        return self._evaluate(model)


def load_resnet50(weights: str | None) -> ResNet50Features:
    """ResNet-50 to start from.

    Args:
        weights: a file of a torchvision state dict, or torchvision's name of weights, which it downloads;
            None: random.

    Raises:
        FileNotFoundError: neither a file nor a name.
        RuntimeError: the file has not the weights of a ResNet-50.
    """
    if weights in (None, IMAGENET):
        return ResNet50Features(weights)
    if not Path(str(weights)).is_file():
        raise FileNotFoundError(f"there is no file {weights}")
    network, state = ResNet50Features(), torch.load(str(weights), map_location="cpu", weights_only=True)
    network.trunk.load_state_dict({key: value for key, value in state.items() if not key.startswith("fc.")})
    return network


def answers_of(
    network: nn.Module, items: Sequence[CaptionedImage], options: PaperOptions, workers: int = 0
) -> np.ndarray:
    """(N, F) float32: what a network, or its backbone, says of the middles of photos."""
    network.eval()
    device, found = next(network.parameters()).device, []
    loader = DataLoader(Centres(items, options), batch_size=_BATCH, num_workers=workers)
    with torch.inference_mode():
        for pictures in tqdm(loader, desc="photos", mininterval=5, leave=False):
            found.append(network(as_input(pictures.to(device))).float().cpu())
    return torch.cat(found).numpy()


def scores_on(
    photos: TaggedPhotos, options: PaperOptions, words: np.ndarray | None, *, count: int, workers: int
) -> Callable[[TaggingNetwork], dict[str, float]]:
    """A network's share of right first tags and of photos with a right one among ten, on the first photos."""
    items = photo_items(photos)[:count]
    asked = TaggedPlaces(photos.tags[:count], photos.places[:count], len(photos.vocabulary))

    def evaluate(network: TaggingNetwork) -> dict[str, float]:
        answers = answers_of(network, items, options, workers)
        if words is not None:
            answers = unit(answers) @ unit(words).T
        scores = tagging_scores(asked, np.argsort(-answers, axis=1, kind="stable")[:, :TOP])
        return {"at_1": float(scores.at_1.mean()), "at_10": float(scores.at_10.mean())}

    return evaluate


def read_run(run: Path) -> tuple[TaggingNetwork, dict[str, Any]]:
    """Network of a run's newest checkpoint (averaged weights), and the checkpoint's facts.

    Returns:
        The network in evaluation mode; `state.json`, and "weights_sha256" of the weights' file.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint; python -m training.locsens.paper trains it")
    facts = json.loads((checkpoint / "state.json").read_text())
    network = TaggingNetwork(ResNet50Features(), TagHead(TagHeadConfig(**facts["task"]["head"])))
    weights = checkpoint / "ema.safetensors"
    network.load_state_dict(load_file(weights))
    return network.eval(), {**facts, "weights_sha256": sha256_file(weights)}


def write_features(
    run: Path, world: Path, out: Path, *, device: str = "auto", workers: int = 0, parts: Sequence[str] = PARTS
) -> None:
    """What the trained backbone says of a world's photos: OUT/PART.npy, (N, 1, 2048) float16.

    Parts that are there already are left.

    Args:
        run: folder of the run.
        world: folder of the world.
        out: folder of the features; its `network.json` tells whose they are.
        device: "auto", "cpu" or "cuda".
        workers: data processes beside this one.
        parts: of the world.

    Raises:
        FileNotFoundError: the run has no checkpoint.
        ValueError: the folder has features of another network or of other photos.
    """
    network, facts = read_run(run)
    task = facts["task"]
    options = PaperOptions(**{key: value for key, value in task.items() if key != "head"})
    backbone = network.backbone.to(device=choose_device(device), memory_format=torch.channels_last)
    out.mkdir(parents=True, exist_ok=True)
    record = out / NETWORK_FILE
    if not record.is_file():
        if stray := sorted(out.glob("*.npy")):
            raise ValueError(f"{stray[0]} was not made by a network of training.locsens.paper")
        record.write_text(json.dumps({"weights_sha256": facts["weights_sha256"], "photos": {}}))
    known = json.loads(record.read_text())
    if known["weights_sha256"] != facts["weights_sha256"]:
        raise ValueError(
            f"{out} has features of the network {known['weights_sha256']}, not of {facts['weights_sha256']} "
            f"({run}); name another folder"
        )
    for part in parts:
        photos = load_photos(world, part)
        if (digest := photos.digest()) == known["photos"].get(part):
            continue
        if part in known["photos"]:
            raise ValueError(f"{out / part}.npy is of other photos than those of {world}")
        features = answers_of(backbone, photo_items(photos), options, workers)
        np.save(out / f"{part}.npy", features[:, None].astype(np.float16))
        known["photos"][part] = digest
        record.write_text(json.dumps(known))
        print(f"{out / part}.npy: {features[:, None].shape}")


def words_of(run: Path, photos: TaggedPhotos, file: Path | None, dimension: int, seed: int) -> np.ndarray:
    """(V, D) float32 vectors that HER regresses: those the run began with, else of a file or `tag_words`."""
    kept = run / "words.safetensors"
    if kept.is_file():
        return np.asarray(load_arrays(kept)["words"])
    words = read_words(file, photos.vocabulary) if file else tag_words(photos, dimension, seed)
    run.mkdir(parents=True, exist_ok=True)
    scratch = kept.with_suffix(f".{os.getpid()}")  # processes of torchrun write the same
    save_arrays({"words": words}, scratch)
    scratch.rename(kept)
    return words


def main() -> None:
    """Command line; see the module docstring."""
    defaults = PaperOptions()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, required=True, help="folder of training.locsens.world")
    parser.add_argument("--kind", choices=KINDS, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument(
        "--weights", default="imagenet", metavar="FILE|imagenet|none",
        help="to start from: torchvision's file, its ImageNet weights (the default: a download), or random",
    )  # fmt: skip
    parser.add_argument("--words", type=Path, help="vectors for HER, in GloVe's format; default: by tags")
    parser.add_argument("--rate", type=float, help="default: mlc 0.0001, mcc 0.06, her 0.08")
    parser.add_argument("--batch-size", type=int, help="a process; default: mlc 64, mcc 288, her 400")
    parser.add_argument("--positive-weight", type=float, default=defaults.positive_weight, help="of MLC")
    parser.add_argument("--dimension", type=int, default=defaults.dimension, help="of image vectors")
    parser.add_argument("--side", type=int, default=defaults.side, help="of the input, in pixels")
    parser.add_argument("--short-side", type=int, default=defaults.short_side, help="of photos, in pixels")
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--minutes", type=float, help="stop earlier; the schedule ends there")
    parser.add_argument("--evaluate-every", type=int, default=1000, help="steps")
    parser.add_argument("--evaluate-photos", type=int, default=1000, help="the first of val")
    parser.add_argument("--precision", choices=("bf16", "fp32"), help="default: bf16 on a GPU")
    parser.add_argument("--workers", type=int, default=2, help="data processes")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--features", type=Path, metavar="FOLDER", help="write features there, once trained")
    args = parser.parse_args()
    rate, batch_size = DEFAULTS[args.kind]
    weights = {"imagenet": IMAGENET, "none": None}.get(args.weights, args.weights)
    torch.manual_seed(args.seed)
    try:
        options = PaperOptions(
            args.kind, args.rate or rate, args.batch_size or batch_size, args.dimension, args.side,
            args.short_side, args.positive_weight, weights and Path(weights).name,
        )  # fmt: skip
        # A run that goes on has its own weights.
        backbone = None if latest_checkpoint(args.out) else load_resnet50(weights)
    except ValueError as error:
        parser.error(str(error))
    except OSError as error:  # no such file, or no download
        parser.error(f"--weights {args.weights}: {error}; give torchvision's file, or none")
    photos = load_photos(args.world, "train")
    words = words_of(args.out, photos, args.words, args.dimension, args.seed) if args.kind == "her" else None
    evaluate = scores_on(
        load_photos(args.world, "val"), options, words, count=args.evaluate_photos, workers=args.workers
    )
    task = PaperTask(options, photos, photo_items(photos), evaluate, args.seed, words, backbone)
    on_gpu = choose_device(args.device).type == "cuda"
    config = EngineConfig(
        out=args.out, steps=args.steps, max_minutes=args.minutes, optimizer="sgd", weight_decay=1e-4,
        clip_norm=0.0, precision=args.precision or ("bf16" if on_gpu else "fp32"), device=args.device,
        workers=args.workers, seed=args.seed, keep=1, evaluate_every=args.evaluate_every,
        checkpoint_every=args.evaluate_every,
    )  # fmt: skip
    train(task, config)
    if args.features is not None and int(os.environ.get("RANK", 0)) == 0:
        write_features(args.out, args.world, args.features, device=args.device, workers=args.workers)


if __name__ == "__main__":
    main()
