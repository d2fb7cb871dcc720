"""Training of style models: losses, what is trained, resuming, starting from another run."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from interplay.models.perceptual import gram
from interplay.predictors.style_transfer.words import ink_and_paper
from tests.style_models import random_perceptual
from training.checkpoints import latest_checkpoint
from training.engine import EngineConfig, train
from training.style_transfer.data import ContentSources
from training.style_transfer.styles import StyleImage
from training.style_transfer.task import (
    StyleTask,
    StyleTaskOptions,
    as_input,
    digest,
    target_grams,
)
from training.style_transfer.train import start_from

OPTIONS = StyleTaskOptions(styles=("neon", "chalk"), size=48, batch_size=2)


@pytest.fixture
def content(word_files: list[Path]) -> ContentSources:
    return ContentSources(words=word_files, weights={"words": 1.0})


def make_task(styles: list[StyleImage], content: ContentSources, seed: int = 0) -> StyleTask:
    torch.manual_seed(0)
    return StyleTask(OPTIONS, styles, random_perceptual(width=8), content, content, seed)


def config(out: Path, **changes: Any) -> EngineConfig:
    settings = EngineConfig(
        out=out,
        steps=4,
        warmup_steps=1,
        precision="fp32",
        device="cpu",
        workers=0,
        weight_decay=0.0,
        checkpoint_every=2,
        evaluate_every=100,
        log_every=1,
        ema_decay=0.5,
    )
    return replace(settings, **changes)


def batch(task: StyleTask) -> dict[str, torch.Tensor]:
    items = [task.dataset[index] for index in range(2)]
    return {key: torch.stack([item[key] for item in items]) for key in items[0]}


def test_a_few_steps_train_everything(
    styles: list[StyleImage], content: ContentSources, tmp_path: Path
) -> None:
    task = make_task(styles, content)
    before = {key: value.clone() for key, value in task.model.state_dict().items()}
    frozen = [value.clone() for value in task.perceptual.parameters()]
    checkpoint = train(task, config(tmp_path / "run"))
    state = json.loads((checkpoint / "state.json").read_text())
    assert state["step"] == 4 and state["task"]["styles"] == ["neon", "chalk"]
    assert state["data_digest"] == task.data_digest
    after = load_file(checkpoint / "model.safetensors")
    assert after.keys() == before.keys()
    assert all(value.isfinite().all() for value in after.values())
    # The bias of a convolution that is normalised afterwards has no effect, and so no gradient to speak of.
    moved = {key for key, value in after.items() if not torch.equal(value, before[key])}
    assert {key for key in after if not key.endswith("bias")} <= moved
    assert all(torch.equal(a, b) for a, b in zip(frozen, task.perceptual.parameters(), strict=True))


def test_a_resumed_run_ends_where_an_unbroken_one_does(
    styles: list[StyleImage], content: ContentSources, tmp_path: Path
) -> None:
    unbroken = train(make_task(styles, content), config(tmp_path / "unbroken", schedule="constant"))
    first = train(make_task(styles, content), config(tmp_path / "run", schedule="constant", steps=2))
    assert first.name == "step_2"
    resumed = train(make_task(styles, content), config(tmp_path / "run", schedule="constant"))
    for file in ("model.safetensors", "ema.safetensors"):
        for key, value in load_file(unbroken / file).items():
            torch.testing.assert_close(load_file(resumed / file)[key], value)


def test_the_loss_is_the_weighted_sum_of_its_parts(styles: list[StyleImage], content: ContentSources) -> None:
    task = make_task(styles, content)
    total, parts = task.loss(task.model, batch(task))
    assert total.requires_grad and total.isfinite()
    assert set(parts) == {"content", "paper", "style_0", "style_1", "style_2"}
    expected = (
        OPTIONS.content_weight * parts["content"]
        + parts["style_0"]
        + 2 * parts["style_1"]
        + 4 * parts["style_2"]
        + OPTIONS.paper_weight * parts["paper"]
    )
    torch.testing.assert_close(total.detach(), expected)
    assert all(not part.requires_grad for part in parts.values())


def test_a_batch_s_loss_is_the_mean_of_its_images(styles: list[StyleImage], content: ContentSources) -> None:
    task, items = make_task(styles, content), None
    items = batch(task)
    total, _ = task.loss(task.model, items)
    alone = [
        task.loss(task.model, {key: value[i : i + 1] for key, value in items.items()})[0] for i in (0, 1)
    ]
    torch.testing.assert_close(total, (alone[0] + alone[1]) / 2)


def test_each_image_is_compared_to_its_own_style(styles: list[StyleImage], content: ContentSources) -> None:
    """The style's own picture, passed through unchanged, is at no distance from its style."""
    task = make_task(styles, content)
    for row, style in enumerate(styles):
        picture = as_input(torch.from_numpy(style.image.transpose(2, 0, 1).copy())[None])
        everywhere = torch.ones(1, *picture.shape[2:])
        own = task.compare(lambda x, _: x, picture, torch.tensor([row]), everywhere)
        other = task.compare(lambda x, _: x, picture, torch.tensor([1 - row]), everywhere)
        assert float(own[1].max()) < 1e-6 and float(other[1].sum()) > 0.1
        assert abs(float(own[0])) < 1e-3  # and has its own structure


def test_style_is_compared_where_it_counts(styles: list[StyleImage], content: ContentSources) -> None:
    """What is painted beside the letters changes the loss only where it counts."""
    task = make_task(styles, content)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    left = torch.zeros(1, 64, 64)
    left[:, :, :16] = 1

    def spoil(x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return torch.cat([x[..., :40], torch.zeros_like(x[..., 40:])], 3)

    row = torch.tensor([0])
    for near, same in ((left, True), (torch.ones_like(left), False)):
        before, after = (task.compare(model, picture, row, near)[1] for model in (lambda x, _: x, spoil))
        assert torch.allclose(before, after, rtol=1e-3) == same


def test_far_from_letters_there_is_to_be_the_style_s_paper(
    styles: list[StyleImage], content: ContentSources
) -> None:
    """The mean squared distance to the style's paper colour, over what is far; nothing for what is near."""
    task = make_task(styles, content)
    picture = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    near = torch.ones(1, 64, 64)
    near[:, :, 32:] = 0
    for row, style in enumerate(styles):
        paper = torch.tensor(ink_and_paper(style.image)[1], dtype=torch.float32).view(1, 3, 1, 1) / 255
        expected = (picture - paper)[..., 32:].square().mean() / 2
        found = task.compare(lambda x, _: x, picture, torch.tensor([row]), near)[2]
        torch.testing.assert_close(found[0], expected)
        spotless = torch.where(near[:, None] == 0, paper, picture)
        assert float(task.compare(lambda x, _: x, spotless, torch.tensor([row]), near)[2]) < 1e-9


def test_the_model_is_told_the_style(styles: list[StyleImage], content: ContentSources) -> None:
    task, seen = make_task(styles, content), []

    def model(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.append(weights.tolist())
        return x

    task.loss(model, {**batch(task), "style": torch.tensor([1, 0])})  # type: ignore[arg-type]
    assert seen == [[[0.0, 1.0]], [[1.0, 0.0]]]


def test_the_fall_of_the_style_loss_is_reported(styles: list[StyleImage], content: ContentSources) -> None:
    task = make_task(styles, content)
    with torch.inference_mode():
        metrics = task.evaluate(task.model)
        assert set(metrics) == {"content", "style", "style_fall"}
        assert metrics["style_fall"] > 0.3  # the colours alone, with which every style starts
        unstyled = task.evaluate(Unstyled())
    assert unstyled["style_fall"] == pytest.approx(0, abs=1e-5)
    assert unstyled["content"] == pytest.approx(0, abs=1e-3)
    assert metrics["style"] < unstyled["style"]


class Unstyled(nn.Module):
    """Gives back what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return x


def test_styles_start_in_their_pictures_colours(styles: list[StyleImage], content: ContentSources) -> None:
    task = make_task(styles, content)
    for row, style in enumerate(styles):
        logits = torch.logit((torch.from_numpy(style.image).float() / 255).clamp(0.02, 0.98))
        torch.testing.assert_close(task.model.beta[row, -3:].detach(), logits.mean((0, 1)))


def test_targets_are_the_pictures_grams(styles: list[StyleImage]) -> None:
    perceptual = random_perceptual(width=8)
    targets = target_grams(perceptual, styles)
    assert {name: value.shape for name, value in targets.items()} == dict.fromkeys(
        ("relu1_1", "relu2_1", "relu3_1"), (2, 8, 8)
    )
    x = as_input(torch.from_numpy(styles[1].image.transpose(2, 0, 1).copy())[None])
    torch.testing.assert_close(targets["relu2_1"][1:], gram(perceptual(x)["relu2_1"]))


def test_rates_of_convolutions_and_styles(styles: list[StyleImage], content: ContentSources) -> None:
    task = make_task(styles, content)
    convolutions, rows = task.parameter_groups()
    assert [id(parameter) for parameter in rows["params"]] == [id(task.model.gamma), id(task.model.beta)]
    assert (convolutions["lr"], rows["lr"]) == (OPTIONS.rate, OPTIONS.style_rate)
    assert len(convolutions["params"]) + 2 == len(list(task.model.parameters()))


def test_the_digest_tells_what_was_trained_on(styles: list[StyleImage], word_files: list[Path]) -> None:
    content = ContentSources(words=word_files, weights={"words": 1.0})
    base = digest(styles, content)
    assert base == digest(list(styles), ContentSources(words=word_files, weights={"words": 2.0}))
    changed = styles[1].image.copy()
    changed[0, 0] ^= 1
    others = [
        digest(styles[::-1], content),
        digest(styles[:1], content),
        digest([styles[0], replace(styles[1], image=changed)], content),
        digest([styles[0], replace(styles[1], name="other")], content),
        digest(styles, ContentSources(words=word_files[1:])),
        digest(styles, ContentSources(words=word_files, photos=word_files[:1])),
        digest(styles, ContentSources(words=word_files, handwriting=[word_files[:2]])),
    ]
    assert len({base, *others}) == len(others) + 1


def test_a_run_may_start_from_another(
    styles: list[StyleImage], content: ContentSources, tmp_path: Path
) -> None:
    checkpoint = train(make_task(styles, content), config(tmp_path / "run", steps=2))
    assert checkpoint == latest_checkpoint(tmp_path / "run")
    torch.manual_seed(9)
    task = StyleTask(
        replace(OPTIONS, styles=("one",)), styles[1:], random_perceptual(width=8), content, content, 0
    )
    own = task.model.beta[:, -3:].clone()
    start_from(task, tmp_path / "run")
    old = load_file(checkpoint / "ema.safetensors")
    for key, value in task.model.state_dict().items():
        if key not in ("gamma", "beta"):
            assert torch.equal(value, old[key])
    torch.testing.assert_close(task.model.gamma[0, :-3].detach(), old["gamma"].mean(0)[:-3])
    assert torch.equal(task.model.beta[:, -3:], own)
    same = make_task(styles, content)
    start_from(same, tmp_path / "run")  # of the same styles: as it is
    assert all(torch.equal(value, old[key]) for key, value in same.model.state_dict().items())
    with pytest.raises(FileNotFoundError, match="has no checkpoint to start from"):
        start_from(task, tmp_path / "none")
