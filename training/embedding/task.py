"""Training a head on features that were computed once (thesis 4.3.1), or the backbone's last stages, too.

Losses, all of a photo's vector z against its caption's vector t:

    sigmoid      the thesis's: cross entropy of sigmoid(z) with t brought to [0, 1], summed over dimensions
    cosine       1 - cos(z, t)
    triplet      max(0, margin - cos(z, t) + cos(z, t')), t' the caption of another photo of the batch
    contrastive  which caption of the batch is the photo's, and which photo the caption's (softmax of
                 cosines over a temperature)
    words        which words of the whole table the caption has, in any form ("dogs" for "dog"; sigmoid of
                 each word's vector times z, and a bias that takes up how frequent the word is); trains the
                 words, too

With `tune_words` the table of words is trained too, from the text model's vectors on: a caption is then
the sum of its words' vectors. It stays a table, so queries go on as before.

With a backbone the features are maps of its fifth stage, and the stages after it are trained: on mirrored
maps and cut-outs of them, with ImageNet's batch norm statistics.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import Dataset

from interplay.models.efficientnet_lite import freeze_statistics
from interplay.models.image_embedding import (
    LITE0_FEATURES,
    LITE0_MAP_STAGES,
    EmbeddingHead,
    HeadConfig,
    Lite0Features,
)
from interplay.predictors.embedding.word_table import WordTable
from training.depthwise import freeze_for_cpu
from training.embedding.queries import lemma

LOSSES = ("sigmoid", "cosine", "triplet", "contrastive", "words")
LONGEST_CAPTION = 24  # words; longer ones are cut
SMALLEST_CUT = 0.75  # of a map's side
_BATCH = 128  # of photos that are only embedded


@dataclass(frozen=True)
class HeadTaskOptions:
    """How a head is trained.

    Attributes:
        loss: one of `LOSSES`.
        hidden: width of the hidden layer; 0 = none.
        dropout: part of the features that is dropped.
        batch_size: photos a step.
        rate: learning rate of the head.
        margin: of the triplet loss.
        temperature: first value of the contrastive loss's.
        tune_words: whether the words' vectors are trained too.
        word_rate: their learning rate.
        noise: part of the captions that are exchanged for those of other photos (thesis Table 4.3).
        backbone_rate: learning rate of the backbone's last stages, if they are trained.
    """

    loss: str = "contrastive"
    hidden: int = 0
    dropout: float = 0.2
    batch_size: int = 256
    rate: float = 1e-3
    margin: float = 0.2
    temperature: float = 0.07
    tune_words: bool = False
    word_rate: float = 1e-3
    noise: float = 0.0
    backbone_rate: float = 2e-4

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, not {self.loss!r}")
        if self.tune_words and self.loss not in ("triplet", "contrastive", "words"):
            raise ValueError(f"words cannot be tuned with the loss {self.loss}: all would become one vector")
        if self.loss == "words" and not self.tune_words:
            raise ValueError("the loss words needs tune_words: it is what trains them")
        if not 0 <= self.noise <= 1:
            raise ValueError(f"noise is {self.noise}; it must be between 0 and 1")


@dataclass(frozen=True)
class Pairs:
    """Photos and captions to train on; a photo may have several captions.

    Attributes:
        features: (P, views, F) float16 of the photos, or their (P, views, C, h, w) maps.
        photos: (N,) the photo of each caption.
        targets: (N, D) float32, the text model's vector of each caption.
        captions: rows of each caption's words in the text model's table.
    """

    features: np.ndarray
    photos: np.ndarray
    targets: np.ndarray
    captions: list[list[int]]

    def with_noise(self, part: float, seed: int) -> "Pairs":
        """The same with some captions exchanged for those of other photos (thesis Table 4.3)."""
        rng = np.random.default_rng((seed, 1))
        source = np.arange(len(self.captions))
        chosen = rng.random(len(source)) < part
        source[chosen] = rng.integers(0, len(source), int(chosen.sum()))
        return replace(self, targets=self.targets[source], captions=[self.captions[i] for i in source])

    def frequencies(self, forms: np.ndarray) -> np.ndarray:
        """(V,) part of the captions that have each word in any form; see `forms_of`."""
        counts = np.zeros(len(forms))
        for rows in self.captions:
            counts[np.unique(forms[rows])] += 1
        return counts[forms] / len(self.captions)

    def digest(self) -> str:
        """Digest of captions and their vectors."""
        digest = hashlib.sha256(np.ascontiguousarray(self.targets).tobytes())
        digest.update(repr(self.captions).encode())
        return digest.hexdigest()


def forms_of(words: Sequence[str]) -> np.ndarray:
    """(V,) int64: for each word the number of its lemma, the same for all its forms."""
    lemmas: dict[str, int] = {}
    return np.array([lemmas.setdefault(lemma(word), len(lemmas)) for word in words], np.int64)


def to_unit_range(vectors: np.ndarray) -> np.ndarray:
    """Each vector less its minimum, divided by its maximum: the thesis's target. Zeros stay zeros."""
    shifted = vectors - vectors.min(1, keepdims=True)
    return np.asarray(shifted / np.maximum(shifted.max(1, keepdims=True), 1e-12), np.float32)


class Shuffled:
    """The numbers below a count in endless random order, each once an epoch; place i is a function of i.

    Args:
        count: positive.
        seed: of the order.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count, self._seed = count, seed
        self._epoch = -1, np.zeros(0, np.int64)

    def __getitem__(self, index: int) -> int:
        epoch, place = divmod(index, self._count)
        if self._epoch[0] != epoch:
            self._epoch = epoch, np.random.default_rng((self._seed, epoch)).permutation(self._count)
        return int(self._epoch[1][place])


class FeatureSet(Dataset):
    """Endless shuffled photos and captions; item i is a function of i.

    Args:
        pairs: photos and captions.
        padding: row that stands for no word.
        seed: of the order and the views.
    """

    def __init__(self, pairs: Pairs, padding: int, seed: int) -> None:
        self._pairs, self._seed = pairs, seed
        captions = pairs.captions
        self._rows = np.full((len(captions), LONGEST_CAPTION), padding, np.int64)
        for number, rows in enumerate(captions):
            self._rows[number, : len(rows)] = rows[:LONGEST_CAPTION]
        self._order = Shuffled(len(captions), seed)

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        number = self._order[index]
        views = self._pairs.features[self._pairs.photos[number]]
        rng = np.random.default_rng((self._seed, index))
        view = views[rng.integers(len(views))].astype(np.float32)
        if view.ndim == 3:
            view = _cut(view, rng)
        return {
            "features": torch.from_numpy(view),
            "target": torch.from_numpy(self._pairs.targets[number]),
            "words": torch.from_numpy(self._rows[number]),
        }


def _cut(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A (C, h, w) map, mirrored or not, of which what is outside a cut-out is set to zero.

    It keeps its size, so maps of a batch stack; zeros are what convolutions see around a photo.
    """
    if rng.random() < 0.5:
        view = view[:, :, ::-1]
    cut = np.zeros_like(view)
    height, width = (int(round(side * rng.uniform(SMALLEST_CUT, 1))) for side in view.shape[1:])
    top = rng.integers(view.shape[1] - height + 1)
    left = rng.integers(view.shape[2] - width + 1)
    cut[:, top : top + height, left : left + width] = view[:, top : top + height, left : left + width]
    return cut


class HeadModel(nn.Module):
    """What is trained: the head and, where they are tuned, the words.

    Args:
        head: features to vectors.
        table: words; its vectors are kept times their weights, with a row of zeros for no word.
        temperature: first value.
        frequencies: (V,) part of the captions that have each word, for the loss "words".
        backbone: whose last stages are trained, too; then inputs are its maps.
    """

    def __init__(
        self,
        head: EmbeddingHead,
        table: WordTable,
        temperature: float,
        frequencies: np.ndarray | None = None,
        backbone: Lite0Features | None = None,
    ) -> None:
        super().__init__()
        self.head = head
        self.backbone = backbone
        weighted = torch.from_numpy(table.vectors * table.weights[:, None])
        weighted = weighted / weighted.norm(dim=1).mean()
        rows = torch.cat([weighted, torch.zeros(1, weighted.shape[1])])
        self.words = nn.Embedding.from_pretrained(rows, freeze=False, padding_idx=len(weighted))
        self.log_scale = nn.Parameter(torch.tensor(1 / temperature).log())
        known = np.full(len(table.words), 0.5) if frequencies is None else frequencies
        odds = torch.from_numpy(np.clip(known, 1e-5, 1 - 1e-5)).float().logit()
        self.word_bias = nn.Parameter(odds, requires_grad=frequencies is not None)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, F), or with a backbone (N, C, h, w), to (N, D) before the space's last step."""
        return self.head.logits(self.backbone.pooled(features) if self.backbone else features)

    def embed(self, features: np.ndarray) -> np.ndarray:
        """(N, F), or with a backbone (N, C, h, w), to (N, D) vectors of the space, without dropout."""
        self.eval()
        vectors = []
        with torch.inference_mode():
            for start in range(0, len(features), _BATCH):
                x = torch.from_numpy(features[start : start + _BATCH].astype(np.float32))
                vectors.append(self.head(self.backbone.pooled(x) if self.backbone else x))
        return torch.cat(vectors).numpy()

    def caption(self, rows: torch.Tensor) -> torch.Tensor:
        """(N, L) word rows to (N, D) sums."""
        return self.words(rows).sum(1)


class HeadTask:
    """The engine's task of a head.

    Args:
        options: how it is trained.
        pairs: what it is trained on; for the loss "sigmoid" with targets in [0, 1].
        table: the text model's words.
        evaluate: scores of a model and a table; called with the averaged weights.
        seed: of everything random.
        backbone: whose last stages are trained, too; then features are its maps.
    """

    def __init__(
        self,
        options: HeadTaskOptions,
        pairs: Pairs,
        table: WordTable,
        evaluate: Callable[[HeadModel, WordTable], dict[str, float]],
        seed: int,
        backbone: Lite0Features | None = None,
    ) -> None:
        pairs = pairs.with_noise(options.noise, seed) if options.noise else pairs
        space = "sigmoid" if options.loss == "sigmoid" else "unit"
        torch.manual_seed(seed)
        inputs = LITE0_FEATURES if backbone else int(pairs.features.shape[2])
        config = HeadConfig(inputs, table.dimension, options.hidden, space, options.dropout)
        forms = forms_of(table.words)
        frequencies = pairs.frequencies(forms) if options.loss == "words" else None
        if backbone is not None:
            freeze_statistics(backbone)
            freeze_for_cpu(backbone.trunk, (LITE0_MAP_STAGES, 0))
        self.model = HeadModel(EmbeddingHead(config), table, options.temperature, frequencies, backbone)
        self.model.words.weight.requires_grad_(options.tune_words)
        self.dataset = FeatureSet(pairs, len(table.words), seed)
        self.batch_size = options.batch_size
        self.options = {**asdict(options), "head": asdict(config), "backbone": backbone is not None}
        self.data_digest = pairs.digest()
        self._options, self._table, self._evaluate = options, table, evaluate
        # One more for the row of no word.
        self._forms = torch.from_numpy(np.append(forms, forms.max() + 1))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """See `Task`."""
        options = self._options
        groups: list[dict[str, Any]] = [{"params": list(self.model.head.parameters()), "lr": options.rate}]
        if self.model.backbone is not None:
            trained = [p for p in self.model.backbone.parameters() if p.requires_grad]
            groups.append({"params": [p for p in trained if p.ndim > 1], "lr": options.backbone_rate})
            biases = [p for p in trained if p.ndim == 1]
            groups.append({"params": biases, "lr": options.backbone_rate, "weight_decay": 0.0})
        if options.loss in ("contrastive", "words"):
            groups.append({"params": [self.model.log_scale], "lr": options.rate, "weight_decay": 0.0})
        if options.loss == "words":
            groups.append({"params": [self.model.word_bias], "lr": 10 * options.rate, "weight_decay": 0.0})
        if options.tune_words:
            groups.append({"params": [self.model.words.weight], "lr": options.word_rate, "weight_decay": 0.0})
        return groups

    def set_train(self, model: nn.Module) -> None:
        """See `Task`."""
        model.train()

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `Task`."""
        options = self._options
        logits = model(batch["features"])
        if options.loss == "sigmoid":
            value = (
                F.binary_cross_entropy_with_logits(logits, batch["target"], reduction="none").sum(1).mean()
            )
            return value, {"sigmoid": value.detach()}
        if options.loss == "words":
            vectors = self.model.words.weight  # (V + 1, D), the last for no word
            images = F.normalize(logits, dim=1)
            scores = self.model.log_scale.exp() * images @ vectors[:-1].T + self.model.word_bias
            forms = self._forms.to(scores.device)
            told = torch.zeros(len(scores), len(forms), device=scores.device)
            told = told.scatter_(1, forms[batch["words"]], 1.0)[:, forms[:-1]]
            value = F.binary_cross_entropy_with_logits(scores, told, reduction="none").sum(1).mean()
            return value, {"words": value.detach()}
        texts = self.model.caption(batch["words"]) if options.tune_words else batch["target"]
        told = texts.norm(dim=1) > 0  # captions without a known word say nothing
        images, texts = F.normalize(logits[told], dim=1), F.normalize(texts[told], dim=1)
        if options.loss == "cosine":
            value = 1 - (images * texts).sum(1).mean()
        elif options.loss == "triplet":
            right = (images * texts).sum(1)
            wrong = (images * texts.roll(1, 0)).sum(1)
            value = F.relu(options.margin - right + wrong).mean()
        else:
            scores = self.model.log_scale.clamp(max=4.6).exp() * images @ texts.T
            labels = torch.arange(len(scores), device=scores.device)
            value = (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2
        return value, {options.loss: value.detach()}

    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """See `Task`."""
        assert isinstance(model, HeadModel)
        return self._evaluate(model, self.table_of(model))

    def table_of(self, model: HeadModel) -> WordTable:
        """The table that answers queries for a trained model."""
        if not self._options.tune_words:
            return self._table
        vectors = model.words.weight[:-1].detach().cpu().numpy()
        return WordTable(self._table.words, vectors, np.ones(len(vectors), np.float32))
