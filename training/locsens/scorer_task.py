"""Training LocSens, the scorer of image, tag and place (thesis 5.3.2; facts 8.5).

A positive triplet is an image, one of its tags and its place. Negatives keep the place: for retrieval each
has another image, one without the tag; for tagging each has another image or another tag, by the toss of a
coin.
What the network is told of places is a schedule of stages, by which the thesis's variants differ:

    zeroed     places are silenced throughout
    raw        exact places throughout
    dropout    silenced until the network has learnt without them, then let in slowly; half of the groups
               stay without, for good
    sampling   places with noise that gets less from stage to stage, from none of the information to all of it
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from interplay.models.locsens import LocSens, LocSensConfig
from interplay.predictors.locsens.scorer import normalised
from training.locsens.batches import BatchTask, whole
from training.locsens.coordinates import sample_near

TASKS = ("retrieval", "tagging")
VARIANTS = ("zeroed", "raw", "dropout", "sampling")
SIGMAS = (1.0, 0.1, 0.05, 0.01, 0.0)
_REDRAWS = 30  # a tag that nearly all images have leaves some negatives that are none


@dataclass(frozen=True)
class Stage:
    """A part of the schedule; from its first to its last step numbers go evenly from one value to the other.

    Attributes:
        steps: how long.
        sigma: standard deviation of the noise on places, on the normalised axes.
        alpha: what the place's modality is multiplied by: at the first step, and at the last.
        location_dropout: chance that a group of triplets is without its place.
    """

    steps: int
    sigma: float = 0.0
    alpha: tuple[float, float] = (1.0, 1.0)
    location_dropout: float = 0.0


def schedule_of(variant: str, steps: int) -> tuple[Stage, ...]:
    """The stages of a variant.

    The thesis's own schedules are not known (facts 8.5). Here "dropout" learns half of its steps without
    places, and lets them in over a quarter; "sampling" has a fifth of its steps for each σ of the thesis.

    Raises:
        ValueError: no such variant.
    """
    if variant == "zeroed":
        return (Stage(steps, alpha=(0.0, 0.0)),)
    if variant == "raw":
        return (Stage(steps),)
    if variant == "dropout":
        half, quarter = steps // 2, steps // 4
        return (
            Stage(half, alpha=(0.0, 0.0)),
            Stage(quarter, alpha=(0.0, 1.0), location_dropout=0.5),
            Stage(steps - half - quarter, location_dropout=0.5),
        )
    if variant == "sampling":
        part = steps // len(SIGMAS)
        return tuple(Stage(part, sigma) for sigma in SIGMAS)
    raise ValueError(f"variant must be one of {', '.join(VARIANTS)}, not {variant!r}")


def stage_at(schedule: Sequence[Stage], step: int) -> tuple[Stage, float]:
    """The stage of a step, the last one's after the end, and the alpha there."""
    for stage in schedule:
        if step < stage.steps:
            first, last = stage.alpha
            return stage, first + (last - first) * step / max(1, stage.steps - 1)
        step -= stage.steps
    return schedule[-1], schedule[-1].alpha[1]


@dataclass(frozen=True)
class ScorerOptions:
    """How a scorer is trained.

    Attributes:
        task: "retrieval" or "tagging": what negatives are made of.
        schedule: what it is told of places.
        batch_size: positive triplets a step.
        negatives: of each.
        margin: by which the positive should win.
        rate: learning rate.
        image_noise: length of the normal noise on image vectors, whose own length is one: a scorer can learn
            vectors by heart, but not with it.
    """

    task: str
    schedule: tuple[Stage, ...]
    batch_size: int = 256
    negatives: int = 6
    margin: float = 0.1
    rate: float = 1e-3
    image_noise: float = 0.0

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, not {self.task!r}")
        if not self.schedule:
            raise ValueError("the schedule has no stage")


@dataclass(frozen=True)
class ScorerData:
    """What a scorer is trained on.

    Attributes:
        images: (N, D) float32 vectors of length one.
        tags: (V, D) float32 vectors of length one.
        tags_of: numbers of each image's tags; at least one each.
        places: (N, 2) degrees.
        digest: of all that.
    """

    images: np.ndarray
    tags: np.ndarray
    tags_of: Sequence[np.ndarray]
    places: np.ndarray
    digest: str


class ScorerTask(BatchTask):
    """The engine's task of LocSens; see `training.engine.Task`.

    Args:
        options: how it is trained.
        config: shape of the network.
        data: what it is trained on.
        evaluate: scores of a model.
        seed: of everything random.
    """

    def __init__(
        self,
        options: ScorerOptions,
        config: LocSensConfig,
        data: ScorerData,
        evaluate: Callable[[LocSens], dict[str, float]],
        seed: int = 0,
    ) -> None:
        torch.manual_seed(seed)
        facts = {**asdict(options), "network": asdict(config)}
        super().__init__(
            LocSens(config),
            rate=options.rate,
            seed=seed,
            options=facts,
            digest=data.digest,
            evaluate=evaluate,
        )
        self._options, self._data = options, data
        self._counts = np.array([len(own) for own in data.tags_of])
        self._starts = np.concatenate([[0], np.cumsum(self._counts)[:-1]])
        self._flat = np.concatenate(data.tags_of).astype(np.int64)
        # Whether an image has a tag: one sorted list of pairs, to look up many at once.
        owner = np.repeat(np.arange(len(self._counts)), self._counts)
        self._pairs = np.unique(owner * len(data.tags) + self._flat)
        self._normalised = normalised(data.places)

    def _has(self, images: np.ndarray, tags: np.ndarray) -> np.ndarray:
        wanted = images * len(self._data.tags) + tags
        at = np.searchsorted(self._pairs, wanted).clip(max=len(self._pairs) - 1)
        return np.asarray(self._pairs[at] == wanted)

    def batch(self, step: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Groups of one positive triplet and its negatives; the first of each group is the positive.

        Returns:
            "image", "tag": (B, 1 + negatives) numbers; "place": (B, 1 + negatives, 2) normalised, with the
            noise of each triplet its own; "alpha": (B, 1).
        """
        options = self._options
        stage, alpha = stage_at(options.schedule, step)
        shape = options.batch_size, 1 + options.negatives
        first = rng.integers(len(self._counts), size=shape[0])
        pick = (rng.random(shape[0]) * self._counts[first]).astype(np.int64)
        images = np.repeat(first[:, None], shape[1], 1)
        tags = np.repeat(self._flat[self._starts[first] + pick][:, None], shape[1], 1)
        other_tag = np.zeros(shape, bool)
        if options.task == "tagging":
            other_tag = rng.random(shape) < 0.5
        wrong = np.zeros(shape, bool)
        wrong[:, 1:] = True
        for _ in range(_REDRAWS):  # what is drawn may happen to be right, and is drawn again
            swap = wrong & ~other_tag
            images[swap] = rng.integers(len(self._counts), size=int(swap.sum()))
            swap = wrong & other_tag
            tags[swap] = rng.integers(len(self._data.tags), size=int(swap.sum()))
            wrong[:, 1:] = self._has(images[:, 1:], tags[:, 1:])
            if not wrong.any():
                break
        places = np.repeat(self._normalised[first], shape[1], 0)
        places = sample_near(places, stage.sigma, rng).reshape(*shape, 2)
        heard = rng.random(shape[0]) >= stage.location_dropout
        return {
            "image": images,
            "tag": tags,
            "place": places.astype(np.float32),
            "alpha": (alpha * heard).astype(np.float32)[:, None],
        }

    def loss(
        self, model: nn.Module, batch: dict[str, torch.Tensor]
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """See `Task`."""
        given = whole(batch)
        device = given["place"].device
        groups, size = given["image"].shape
        images, tags = (
            torch.from_numpy(vectors[numbers.flatten().cpu().numpy()]).to(device)
            for vectors, numbers in ((self._data.images, given["image"]), (self._data.tags, given["tag"]))
        )
        if self._options.image_noise:
            noise = torch.randn_like(images) * (self._options.image_noise / images.shape[1] ** 0.5)
            images = F.normalize(images + noise, dim=1)
        alpha = given["alpha"].expand(groups, size).reshape(-1, 1)
        scores = model(images, tags, given["place"].flatten(0, 1), alpha).view(groups, size)
        short = F.relu(self._options.margin - scores[:, :1] + scores[:, 1:])
        value = short.mean()
        return value, {"ranking": value.detach(), "lost": (short > 0).float().mean().detach()}
