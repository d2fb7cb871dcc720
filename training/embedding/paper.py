"""Trains the thesis's image model: GoogLeNet regresses the caption's vector from pixels (thesis 4.3.1).

    python -m training.embedding.paper --text TEXT/glove-tfidf.npz --out RUN --weights FILE --frozen
    python -m training.embedding.paper --text TEXT/glove-tfidf.npz --out RUN
    python -m training.embedding.paper --text TEXT/glove-tfidf.npz --out RUN --publish STORE --version 1

The first form starts from ImageNet's weights and trains inception 4e to 5b and the last layer, the second
all layers from scratch; the third publishes a run. Sigmoid cross entropy summed over dimensions, SGD, dropout
of 0.4, photos squeezed to 256 x 256 of which 224 x 224 are cut out at random, mirrored or not. Called again
on the same folder, it resumes. Scores while training are those of the dev photos.

Unlike the thesis's Caffe model: torchvision's GoogLeNet, which has batch norm, without its auxiliary
classifiers, RGB normalised as ImageNet's, a cosine schedule instead of steps of 100,000, and evaluation
without cut-outs.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn
from torch.utils.data import Dataset
from tqdm import tqdm

from interplay.media.images import decode
from interplay.models.image_embedding import (
    GOOGLENET_FEATURES,
    EmbeddingHead,
    GoogLeNetFeatures,
    HeadConfig,
    ImageEmbedding,
)
from interplay.predictors.embedding.word_table import WordTable
from interplay.predictors.pictures import fit
from interplay.store import Preprocessing
from training.checkpoints import latest_checkpoint
from training.datasets.captions import CaptionedImage
from training.embedding.data import load_part
from training.embedding.export import export_embedding, training_record
from training.embedding.features import SIDE, set_digest
from training.embedding.task import Shuffled, to_unit_range
from training.embedding.text.train import SavedText, load_text
from training.embedding.train import SearchSet, calibrate, prepare
from training.engine import EngineConfig, train

SCALED_SIDE = 256
DROPOUT = 0.4
FIXED = (
    "conv1", "conv2", "conv3", "inception3a", "inception3b", "inception4a", "inception4b", "inception4c",
    "inception4d",
)  # fmt: skip
_BATCH = 32


@dataclass(frozen=True)
class PaperOptions:
    """How GoogLeNet is trained.

    Attributes:
        batch_size: photos a step.
        rate: learning rate of the weights; biases get twice as much.
        frozen: whether everything up to inception 4d stays as it is.
        weights: what the network started from.
    """

    batch_size: int = 120
    rate: float = 1e-3
    frozen: bool = False
    weights: str | None = None


class PhotoSet(Dataset):
    """Endless shuffled photos with their captions' vectors; item i is a function of i.

    Args:
        items: photos.
        targets: (N, D) float32 in [0, 1], one a caption, in the order of the photos' captions.
        seed: of the order and of what is cut out.
    """

    def __init__(self, items: Sequence[CaptionedImage], targets: np.ndarray, seed: int) -> None:
        self._items, self._targets, self._seed = items, targets, seed
        self._photos = np.array([number for number, item in enumerate(items) for _ in item.captions])
        self._order = Shuffled(len(self._photos), seed)

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """ "photo", (3, 224, 224) normalised RGB, and "target", (D,)."""
        caption = self._order[index]
        rng = np.random.default_rng((self._seed, index))
        photo = fit(decode(self._items[self._photos[caption]].content()), SCALED_SIDE)
        top, left = rng.integers(SCALED_SIDE - SIDE + 1, size=2)
        cut = photo[top : top + SIDE, left : left + SIDE]
        cut = cut[:, ::-1] if rng.random() < 0.5 else cut
        return {"photo": _normalised(cut), "target": torch.from_numpy(self._targets[caption])}


class PaperNetwork(ImageEmbedding):
    """`ImageEmbedding` that gives logits while it trains.

    The loss must come out of a call of the network itself: several processes share gradients only then.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 3, H, W) normalised RGB to (N, D): logits in training mode, else in the text space."""
        y: torch.Tensor = self.head.logits(self.backbone(x)) if self.training else super().forward(x)
        return y


class PaperTask:
    """The engine's task of the thesis's image model.

    Args:
        options: how it is trained.
        items: photos.
        targets: (N, D) float32 in [0, 1]; see `PhotoSet`.
        evaluate: scores of a network; called with the averaged weights.
        seed: of everything random.
        backbone: to start from; random by default.
    """

    def __init__(
        self,
        options: PaperOptions,
        items: Sequence[CaptionedImage],
        targets: np.ndarray,
        evaluate: Callable[[ImageEmbedding], dict[str, float]],
        seed: int,
        backbone: GoogLeNetFeatures | None = None,
    ) -> None:
        torch.manual_seed(seed)
        config = HeadConfig(GOOGLENET_FEATURES, targets.shape[1], space="sigmoid", dropout=DROPOUT)
        head = EmbeddingHead(config)
        nn.init.xavier_uniform_(head.layers[-1].weight)
        nn.init.zeros_(head.layers[-1].bias)
        self.model = PaperNetwork(backbone or GoogLeNetFeatures(), head)
        for name, parameter in self.model.backbone.trunk.named_parameters():
            parameter.requires_grad_(not (options.frozen and name.startswith(FIXED)))
        self.dataset = PhotoSet(items, targets, seed)
        self.batch_size = options.batch_size
        self.options = {**asdict(options), "head": asdict(config)}
        self.data_digest = set_digest(list(items))
        self._options, self._evaluate = options, evaluate

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `Task`. Biases get twice the rate and no decay, as in the thesis's network."""
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        biases = [p for name, p in named if name.endswith("bias")]
        weights = [p for name, p in named if not name.endswith("bias")]
        return [
            {"params": weights, "lr": self._options.rate},
            {"params": biases, "lr": 2 * self._options.rate, "weight_decay": 0.0},
        ]

    def set_train(self, model: nn.Module) -> None:
        """See `Task`. What is fixed normalises by ImageNet's statistics."""
        model.train()
        if self._options.frozen:
            for name, module in self.model.backbone.trunk.named_children():
                if name in FIXED:
                    module.eval()

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `Task`."""
        logits, target = model(batch["photo"]), batch["target"]
        value = F.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(1).mean()
        return value, {"sigmoid": value.detach()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """See `Task`."""
        assert isinstance(model, ImageEmbedding)
        return self._evaluate(model)


def embed_items(model: ImageEmbedding, items: Sequence[CaptionedImage]) -> np.ndarray:
    """(N, D) float32 in [0, 1]: what a network says of photos."""
    model.eval()
    device, vectors = next(model.parameters()).device, []
    with torch.inference_mode():
        for start in tqdm(range(0, len(items), _BATCH), desc="photos", mininterval=5, leave=False):
            photos = [fit(decode(item.content()), SIDE) for item in items[start : start + _BATCH]]
            vectors.append(model(torch.stack([_normalised(photo) for photo in photos]).to(device)).cpu())
    return torch.cat(vectors).numpy()


def load_googlenet(weights: str) -> GoogLeNetFeatures:
    """GoogLeNet with published weights.

    Args:
        weights: file of a torchvision state dict, or torchvision's name of weights, which it downloads.

    Raises:
        RuntimeError: the file has not the weights of a GoogLeNet.
    """
    file = Path(weights)
    if not file.is_file():
        return GoogLeNetFeatures(weights)
    network, state = GoogLeNetFeatures(), torch.load(file, map_location="cpu", weights_only=True)
    network.trunk.load_state_dict(
        {key: value for key, value in state.items() if not key.startswith(("fc.", "aux1.", "aux2."))}
    )
    return network


def publish_run(run: Path, text: SavedText, dev: Sequence[CaptionedImage], store: Path, version: int) -> None:
    """Publishes the averaged weights of a run's newest checkpoint, with the words brought to [0, 1].

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    model, facts = read_paper_run(run)
    table = unit_table(text)
    images = embed_items(model, dev)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    odds = calibrate(SearchSet.of(dev, images[:, None]), images, table)
    assert isinstance(model.backbone, GoogLeNetFeatures)
    for stored in export_embedding(
        model.head, table, store, version=version, odds=odds, training=training_record(facts, text),
        commit=facts["commit"], googlenet=model.backbone,
    ):  # fmt: skip
        print(f"{stored.directory}: {stored.manifest.weights_bytes / 1e6:.1f} MB")


def read_paper_run(run: Path) -> tuple[ImageEmbedding, dict[str, Any]]:
    """Network of a run's newest checkpoint (averaged weights), and the checkpoint's facts.

    Raises:
        FileNotFoundError: the run has no checkpoint.
    """
    checkpoint = latest_checkpoint(run)
    if checkpoint is None:
        raise FileNotFoundError(f"{run} has no checkpoint")
    facts = json.loads((checkpoint / "state.json").read_text())
    model = ImageEmbedding(GoogLeNetFeatures(), EmbeddingHead(HeadConfig(**facts["task"]["head"])))
    model.load_state_dict(load_file(checkpoint / "ema.safetensors"))
    return model.eval(), facts


def unit_table(text: SavedText) -> WordTable:
    """The words as the network's numbers are: each vector brought to [0, 1]."""
    table = text.table
    return WordTable(table.words, to_unit_range(table.vectors), np.ones(len(table.words), np.float32))


def _normalised(photo: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 to (3, H, W) float32 as ImageNet's networks want it."""
    norm = Preprocessing()
    values = (photo / np.float32(255) - np.float32(norm.mean)) / np.float32(norm.std)
    return torch.from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1), dtype=np.float32))


def main() -> None:
    """Command line; see the module docstring."""
    defaults = PaperOptions()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--text", type=Path, required=True, help=".npz of training.embedding.text.train")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--weights", help="file, or torchvision's name, of ImageNet's; default: from scratch")
    parser.add_argument("--frozen", action="store_true", help="keep all layers up to inception 4d")
    parser.add_argument("--rate", type=float, default=defaults.rate)
    parser.add_argument("--batch-size", type=int, default=defaults.batch_size)
    parser.add_argument("--steps", type=int, default=460_000, help="default: the thesis's 460,000")
    parser.add_argument("--minutes", type=float, help="stop earlier; the schedule ends there")
    parser.add_argument("--evaluate-every", type=int, default=500, help="steps")
    parser.add_argument("--workers", type=int, default=2, help="data processes")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--publish", type=Path, metavar="STORE", help="publish the run instead")
    parser.add_argument("--version", type=int, help="to publish it as")
    args = parser.parse_args()
    if args.frozen and args.weights is None:
        parser.error("--frozen keeps layers as they are: it needs --weights")
    if (args.publish is None) != (args.version is None):
        parser.error("--publish and --version go together")
    text, dev = load_text(args.text), load_part("dev")
    if args.publish is not None:
        publish_run(args.out, text, dev, args.publish, args.version)
        return
    table, targets = prepare(text, "sigmoid")
    searched = SearchSet.of(dev, np.zeros((len(dev), 1, 0), np.float16))

    def evaluate(model: ImageEmbedding) -> dict[str, float]:
        return searched.summary(embed_items(model, dev), table, "sigmoid")

    options = PaperOptions(args.batch_size, args.rate, args.frozen, args.weights)
    backbone = load_googlenet(args.weights) if args.weights else None
    task = PaperTask(options, load_part("train"), targets, evaluate, args.seed, backbone)
    config = EngineConfig(
        out=args.out, steps=args.steps, max_minutes=args.minutes, optimizer="sgd", weight_decay=2e-4,
        clip_norm=0.0, precision="fp32", device=args.device, workers=args.workers, seed=args.seed, keep=1,
        evaluate_every=args.evaluate_every,
    )  # fmt: skip
    train(task, config)


if __name__ == "__main__":
    main()
