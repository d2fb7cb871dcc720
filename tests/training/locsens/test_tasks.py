"""Image models and the scorer: what they are shown, and that they learn it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from interplay.models.locsens import LocSens, LocSensConfig
from interplay.models.tag_head import TagHead
from training.checkpoints import latest_checkpoint
from training.engine import EngineConfig, train
from training.locsens.image_task import ImageTask, ImageTaskOptions
from training.locsens.scorer_task import (
    SIGMAS,
    VARIANTS,
    ScorerData,
    ScorerOptions,
    ScorerTask,
    Stage,
    schedule_of,
    stage_at,
)

TAGS, IMAGES = 12, 240
SMALL = LocSensConfig(image=16, tag=12, modality=16, widths=(64, 32), groups=4)


@pytest.fixture(scope="module")
def world() -> ScorerData:
    """Images of six subjects in two places: a subject has a tag in either place, and another in one."""
    rng = np.random.default_rng(0)
    subjects, here = rng.integers(6, size=IMAGES), rng.integers(2, size=IMAGES)
    images = np.eye(16)[subjects] + rng.normal(scale=0.1, size=(IMAGES, 16))
    images = (images / np.linalg.norm(images, axis=1, keepdims=True)).astype(np.float32)
    tags = [
        np.array([subject, 6 + 3 * place + subject % 3])
        for subject, place in zip(subjects, here, strict=True)
    ]
    places = np.where(here[:, None], (41.4, 2.2), (-33.9, 151.2)) + rng.normal(scale=0.5, size=(IMAGES, 2))
    return ScorerData(images, np.eye(TAGS, dtype=np.float32), tags, places, "0" * 64)


def config(out: Path, steps: int) -> EngineConfig:
    return EngineConfig(out=out, steps=steps, warmup_steps=1, precision="fp32", device="cpu", workers=0,
                        evaluate_every=steps, checkpoint_every=steps, ema_decay=0.9)  # fmt: skip


@pytest.mark.parametrize("kind", ["mlc", "mcc", "her"])
def test_image_models_learn_their_tags(world: ScorerData, kind: str, tmp_path: Path) -> None:
    words = np.linalg.qr(np.random.default_rng(1).normal(size=(TAGS, TAGS)))[0].astype(np.float32)

    def evaluate(model: TagHead) -> dict[str, float]:
        with torch.inference_mode():
            answers = model(torch.from_numpy(world.images)).numpy()
        if kind == "her":
            answers = answers @ (words / np.linalg.norm(words, axis=1, keepdims=True)).T
        best = answers.argmax(1)
        return {"at_1": float(np.mean([b in own for b, own in zip(best, world.tags_of, strict=True)]))}

    task = ImageTask(
        ImageTaskOptions(kind, dimension=8, dropout=0.0, batch_size=64, rate=0.02), world.images,
        world.tags_of, TAGS, digest=world.digest, evaluate=evaluate,
        word_vectors=words if kind == "her" else None,
    )  # fmt: skip
    before = task.evaluate(task.model.eval())["at_1"]
    train(task, config(tmp_path, 120))
    assert task.evaluate(task.model.eval())["at_1"] > max(0.9, before)


def test_a_random_tag_stands_for_an_image_in_mcc(world: ScorerData) -> None:
    task = ImageTask(
        ImageTaskOptions("mcc", batch_size=2000),
        world.images,
        world.tags_of,
        TAGS,
        digest="",
        evaluate=lambda _: {},
    )
    made = task.batch(0, np.random.default_rng(0))
    subject = (made["target"] < 6).mean()
    assert 0.45 < subject < 0.55
    with pytest.raises(ValueError, match="HER"):
        ImageTask(
            ImageTaskOptions("her"), world.images, world.tags_of, TAGS, digest="", evaluate=lambda _: {}
        )


@pytest.mark.parametrize("task", ["retrieval", "tagging"])
def test_positives_are_right_and_negatives_wrong(world: ScorerData, task: str) -> None:
    options = ScorerOptions(task, schedule_of("raw", 10), batch_size=300)
    made = ScorerTask(options, SMALL, world, lambda _: {}).batch(3, np.random.default_rng(3))
    images, tags = made["image"], made["tag"]
    for group in range(300):
        right = [tag in world.tags_of[image] for image, tag in zip(images[group], tags[group], strict=True)]
        assert right == [True] + [False] * 6
    assert (made["place"] == made["place"][:, :1]).all()
    same_tag = (tags[:, 1:] == tags[:, :1]).mean()
    assert same_tag == 1 if task == "retrieval" else 0.4 < same_tag < 0.6


def test_schedules() -> None:
    for variant in VARIANTS:
        stages = schedule_of(variant, 1000)
        assert sum(stage.steps for stage in stages) == 1000
    assert [stage.sigma for stage in schedule_of("sampling", 1000)] == list(SIGMAS)
    dropout = schedule_of("dropout", 1000)
    assert stage_at(dropout, 499)[1] == 0 and stage_at(dropout, 5000)[1] == 1
    assert stage_at(dropout, 500)[1] == 0 and stage_at(dropout, 749)[1] == 1
    assert 0.45 < stage_at(dropout, 625)[1] < 0.55
    with pytest.raises(ValueError, match="variant must be one of"):
        schedule_of("exact", 10)


def test_what_a_stage_tells(world: ScorerData) -> None:
    def batch(stage: Stage) -> dict[str, np.ndarray]:
        options = ScorerOptions("retrieval", (stage,), batch_size=400)
        return ScorerTask(options, SMALL, world, lambda _: {}).batch(0, np.random.default_rng(1))

    assert not batch(Stage(1, alpha=(0, 0)))["alpha"].any()
    assert 0.4 < batch(Stage(1, location_dropout=0.5))["alpha"].mean() < 0.6
    latitudes = batch(Stage(1, sigma=0.05))["place"][..., 0]
    # Each triplet of a group has its own noise.
    assert np.sqrt(latitudes.var(1, ddof=1).mean()) == pytest.approx(0.05, rel=0.1)


@pytest.mark.parametrize(("variant", "knows"), [("raw", True), ("zeroed", False)])
def test_the_scorer_learns_what_a_place_adds(
    world: ScorerData, variant: str, knows: bool, tmp_path: Path
) -> None:
    """An image's second tag depends on its place alone: only the variant that is told of it can tell."""

    def evaluate(model: LocSens) -> dict[str, float]:
        place = torch.from_numpy(((world.places + (90, 180)) / (180, 360)).astype(np.float32))
        right = []
        with torch.inference_mode():
            for image, tags in enumerate(world.tags_of):
                two = np.array([tags[1], (tags[1] - 6 + 3) % 6 + 6])  # here, and in the other place
                scores = model(
                    torch.from_numpy(world.images[[image] * 2]), torch.from_numpy(world.tags[two]),
                    place[[image] * 2], 1.0 if knows else 0.0,
                )  # fmt: skip
                right.append(bool(scores[0] > scores[1]))
        return {"right": float(np.mean(right))}

    options = ScorerOptions("tagging", schedule_of(variant, 300), batch_size=64, rate=3e-3)
    task = ScorerTask(options, SMALL, world, evaluate)
    train(task, config(tmp_path, 300))
    assert latest_checkpoint(tmp_path) is not None
    share = task.evaluate(task.model.eval())["right"]
    assert share > 0.9 if knows else 0.2 < share < 0.8  # the commoner of a subject's two


def test_bad_options() -> None:
    with pytest.raises(ValueError, match="task must be one of"):
        ScorerOptions("search", schedule_of("raw", 1))
    with pytest.raises(ValueError, match="no stage"):
        ScorerOptions("tagging", ())
