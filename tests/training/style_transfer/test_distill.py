"""The end-to-end model: masks that follow the crop, the loss of eq. 3.4 by hand, a teacher that stays."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from interplay.models.style_transformer import build_style_transformer
from interplay.models.textfcn import build_textfcn
from training.datasets.sample import Sample, WordLabel
from training.engine import EngineConfig, train
from training.style_transfer import distill
from training.style_transfer.distill import (
    BACKGROUND,
    IGNORED,
    TEXT,
    DistillOptions,
    DistillTask,
    MaskedCrops,
)
from training.style_transfer.task import as_input

OPTIONS = DistillOptions(styles=("neon", "chalk"), size=64)
WHITE, RED, BLUE = (255, 255, 255), (255, 0, 0), (0, 0, 255)


def box(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    return np.float32([[left, top], [right, top], [right, bottom], [left, bottom]])


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A blue photo: white where a legible word is, red where a doubtful one is, also on top of the other."""
    image = np.full((180, 240, 3), BLUE, np.uint8)
    legible, doubtful, over = box(60, 50, 160, 90), box(60, 110, 180, 150), box(130, 40, 175, 100)
    for outline, colour in ((legible, WHITE), (doubtful, RED), (over, RED)):
        cv2.fillPoly(image, [outline.astype(np.int32)], colour)
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    cv2.imwrite(str(path), image[..., ::-1])
    words = (WordLabel(over, "?", False), WordLabel(legible, "word", True), WordLabel(doubtful, "", False))
    return Sample(path, words)


@pytest.fixture(scope="module")
def text_free(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("empty") / "empty.png"
    cv2.imwrite(str(path), np.full((120, 120, 3), 90, np.uint8))
    return path


@pytest.fixture(scope="module")
def teacher() -> dict[str, torch.Tensor]:
    torch.manual_seed(5)
    network = build_style_transformer({"preset": "paper", "styles": 2})
    nn.init.normal_(network.beta, std=0.5)
    return network.state_dict()


@pytest.fixture(scope="module")
def detector() -> dict[str, torch.Tensor]:
    torch.manual_seed(6)
    return build_textfcn({"preset": "compact"}).state_dict()


Weights = dict[str, torch.Tensor]


def make_task(teacher: Weights, detector: Weights, sample: Sample, **changes: object) -> DistillTask:
    torch.manual_seed(0)
    options = replace(OPTIONS, **changes)  # type: ignore[arg-type]
    return DistillTask(options, teacher, detector, [sample], [sample], [], 0)


def test_masks_move_with_the_picture(sample: Sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """The colours of the photo say what each pixel of the crop is, however it turns and zooms."""
    monkeypatch.setattr(distill, "alter", lambda rng, image: image)
    crops = MaskedCrops([sample], [], replace(OPTIONS, size=128), seed=0)
    agreed, seen = [], set()
    for index in range(25):
        item = crops[index]
        assert item["image"].shape == (3, 128, 128) and item["mask"].shape == (128, 128)
        assert item["image"].dtype == item["mask"].dtype == torch.uint8
        red, green, blue = item["image"].int()
        colours = torch.full_like(red, 9)  # between two of them, or beyond the photo
        colours[(red > 200) & (green > 200) & (blue > 200)] = TEXT
        colours[(red > 200) & (green < 60) & (blue < 60)] = IGNORED
        colours[(red < 60) & (green < 60) & (blue > 200)] = BACKGROUND
        clear = colours != 9
        agreed.append(float((colours == item["mask"])[clear].float().mean()))
        seen |= set(item["mask"].unique().tolist())
    assert min(agreed) > 0.94 and np.mean(agreed) > 0.97
    assert seen == {BACKGROUND, TEXT, IGNORED}


def test_crops_are_a_function_of_seed_and_number(sample: Sample, text_free: Path) -> None:
    first, again = (MaskedCrops([sample], [text_free], OPTIONS, seed=1) for _ in range(2))
    for index in (0, 1, 2, 10**9):
        one, two = first[index], again[index]
        assert all(torch.equal(one[key], two[key]) for key in one)
    other = MaskedCrops([sample], [text_free], OPTIONS, seed=2)
    assert not all(torch.equal(first[index]["image"], other[index]["image"]) for index in range(3))
    assert {int(first[index]["style"]) for index in range(20)} == {0, 1}


def test_photos_without_text_have_empty_masks(sample: Sample, text_free: Path) -> None:
    options = replace(OPTIONS, text_free_share=1.0)
    crops = MaskedCrops([sample], [text_free], options, seed=0)
    assert not any(crops[index]["mask"].any() for index in range(5))
    share = MaskedCrops([sample], [text_free], replace(OPTIONS, text_free_share=0.0), seed=0)
    assert sum(bool(share[index]["mask"].any()) for index in range(10)) >= 5


def test_no_text_at_all_is_refused(text_free: Path) -> None:
    with pytest.raises(ValueError, match="no pictures with text"):
        MaskedCrops([], [text_free], OPTIONS, seed=0)


def test_loss_of_eq_3_4_by_hand(sample: Sample, teacher: Weights, detector: Weights) -> None:
    task = make_task(teacher, detector, sample, restyled=2, gate_weight=0.0)
    torch.manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 24, 24), dtype=torch.uint8)
    mask = torch.randint(0, 3, (2, 24, 24), dtype=torch.uint8)
    styles = torch.tensor([1, 0])
    answer = torch.rand(2, 3, 24, 24)
    seen = []

    def model(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.append(weights.tolist())
        return answer

    batch = {"image": images, "mask": mask, "style": styles}
    total, parts = task.loss(model, batch)  # type: ignore[arg-type]
    assert seen == [[[0.0, 1.0], [1.0, 0.0]]]
    x = as_input(images)
    with torch.no_grad():
        wanted = task.teacher(x, torch.tensor(seen[0]))
    text = background = weight = 0.0
    for n in range(2):
        for row in range(24):
            for column in range(24):
                pixel = n, slice(None), row, column
                if mask[n, row, column] == TEXT:  # λ1 ‖η(c) - φ(c)‖²
                    text += 5.0 * float((answer[pixel] - wanted[pixel]).square().sum())
                    weight += 5.0 * 3
                elif mask[n, row, column] == BACKGROUND:  # λ2 ‖η(c) - c‖²
                    background += 1.0 * float((answer[pixel] - x[pixel]).square().sum())
                    weight += 1.0 * 3
    assert total.item() == pytest.approx((text + background) / weight, rel=1e-4)
    assert float(parts["text"]) == pytest.approx(text / weight, rel=1e-4)
    assert float(parts["background"]) == pytest.approx(background / weight, rel=1e-4)
    answer = answer.clone()
    answer[(mask == IGNORED)[:, None].expand_as(answer)] = 99.0
    torch.testing.assert_close(task.loss(model, batch)[0], total)  # type: ignore[arg-type]
    only_ignored = {**batch, "mask": torch.full_like(mask, IGNORED)}
    assert task.loss(model, only_ignored)[0].item() == 0.0  # type: ignore[arg-type]


def test_the_student_starts_as_the_teacher_with_a_gate(
    sample: Sample, teacher: Weights, detector: Weights
) -> None:
    task = make_task(teacher, detector, sample)
    x, weights = torch.rand(1, 3, 24, 24), torch.tensor([[0.0, 1.0]])
    with torch.inference_mode():
        styled, gate = task.model.parts(x, weights)
        torch.testing.assert_close(styled, task.teacher(x, weights))
    assert gate is not None
    others, gates = task.parameter_groups()
    assert (others["lr"], gates["lr"]) == (OPTIONS.rate, OPTIONS.gate_rate)
    found = {id(parameter) for parameter in gates["params"]}
    assert found == {id(p) for name, p in task.model.named_parameters() if name.startswith("gate.")}
    assert len(others["params"]) + len(found) == len(list(task.model.parameters()))
    stem = task.model.gate.backbone.stem.conv.weight  # type: ignore[union-attr]
    torch.testing.assert_close(stem, detector["backbone.stem.conv.weight"])


def test_the_gate_is_told_what_is_text_on_every_crop(
    sample: Sample, teacher: Weights, detector: Weights
) -> None:
    """Cross entropy over all crops but doubtful words; only the first crop is restyled."""
    task = make_task(teacher, detector, sample, restyled=1, gate_weight=2.0)
    images = torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8)
    mask = torch.randint(0, 3, (3, 32, 32), dtype=torch.uint8)
    batch = {"image": images, "mask": mask, "style": torch.tensor([0, 1, 0])}
    seen = []

    def model(x: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        seen.append(weights.tolist())
        return x

    total, parts = task.loss(model, batch)  # type: ignore[arg-type]
    assert seen == [[[1.0, 0.0]]]
    with torch.no_grad():
        p = torch.sigmoid(task.model.gate(as_input(images)))[:, 0]  # type: ignore[misc]
    each = torch.where(mask == TEXT, -p.log(), -(1 - p).log())
    expected = (each * (mask != IGNORED)).mean()
    torch.testing.assert_close(parts["gate"], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(total.detach(), parts["text"] + parts["background"] + 2 * expected)


def test_a_few_steps_leave_the_teacher_as_it_is(
    sample: Sample, teacher: Weights, detector: Weights, tmp_path: Path
) -> None:
    task = make_task(teacher, detector, sample)
    config = EngineConfig(
        out=tmp_path / "run", steps=3, warmup_steps=1, precision="fp32", device="cpu", workers=0,
        weight_decay=0.0, checkpoint_every=100, evaluate_every=100, log_every=1,
    )  # fmt: skip
    checkpoint = train(task, config)
    assert all(torch.equal(teacher[key], value) for key, value in task.teacher.state_dict().items())
    assert not any(parameter.requires_grad for parameter in task.teacher.parameters())
    student = load_file(checkpoint / "model.safetensors")
    assert all(value.isfinite().all() for value in student.values())
    assert not torch.equal(student["gamma"], teacher["gamma"]) and "gate.score.weight" in student
    assert json.loads((checkpoint / "state.json").read_text())["task"]["styles"] == ["neon", "chalk"]


class Perfect(nn.Module):
    """Gives the photo back; its gate is open where the photo is white or red."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        return x

    def parts(self, x: torch.Tensor, _: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x, (x[:, :1] > 0.5).float()


def test_what_is_reported(
    sample: Sample, teacher: Weights, detector: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task(teacher, detector, sample)
    with torch.inference_mode():
        metrics = task.evaluate(task.model)
    assert set(metrics) == {"text_rmse", "background_rmse", "gate_precision", "gate_recall"}
    assert all(np.isfinite(value) for value in metrics.values())
    assert metrics["gate_recall"] < 0.05  # it starts closed
    monkeypatch.setattr(distill, "alter", lambda rng, image: image)
    with torch.inference_mode():
        perfect = task.evaluate(Perfect())
    assert perfect["background_rmse"] == 0 and perfect["text_rmse"] > 1
    # Red pixels are doubtful words, which count neither for nor against the gate; borders are blurred.
    assert perfect["gate_recall"] > 0.9 and perfect["gate_precision"] > 0.7


def test_the_digest_tells_what_was_trained_on(
    sample: Sample, text_free: Path, teacher: Weights, detector: Weights
) -> None:
    def digest(samples: list[Sample], photos: list[Path]) -> str:
        return DistillTask(OPTIONS, teacher, detector, samples, [sample], photos, 0).data_digest

    doubted = Sample(sample.image, tuple(replace(word, legible=False) for word in sample.words))
    found = [
        digest([sample], []),
        digest([sample], [text_free]),
        digest([sample, sample], []),
        digest([doubted], []),
        digest([Sample(sample.image, sample.words[:2])], []),
    ]
    assert len(set(found)) == len(found)
    assert digest([sample], []) == found[0]
