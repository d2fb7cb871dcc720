"""The catalogue: which model has which style; samples that are drawn once and survive interruptions."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from interplay.errors import DeadlineExceeded, InvalidParameter
from interplay.media.images import decode
from interplay.predictors.style_transfer.stylist import StyleItem
from interplay.store import Manifest
from interplay.types import StageTimings
from services.style_transfer.catalogue import Catalogue, Samples, mix_weights
from tests.style_models import STYLES, random_network, style_manifest

MODELS = ("scene", "print", "handwriting")


def manifest(model: str) -> Manifest:
    return style_manifest(model, random_network(1))


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue([manifest(model) for model in MODELS], manifest("selective"))


def test_every_style_has_its_place(catalogue: Catalogue) -> None:
    assert list(catalogue.entries) == [name for model in MODELS for name in STYLES[model]]
    entry = catalogue.entries["mono"]
    assert (entry.name, entry.domain, entry.model, entry.row) == ("mono", "print", "style-print", 1)
    assert (entry.ink, entry.paper) == STYLES["print"]["mono"]


def test_a_name_may_be_there_once() -> None:
    manifests = [manifest("scene"), manifest("print")]
    doubled = manifests[1].model_copy(update={"labels": ("serif", "gold")})
    with pytest.raises(ValueError, match="style-print and style-scene both have a style 'gold'"):
        Catalogue([manifests[0], doubled], manifest("selective"))


def test_every_label_needs_its_facts() -> None:
    short = manifest("scene").model_copy(update={"labels": ("neon", "gold")})
    with pytest.raises(ValueError, match="shorter|longer"):
        Catalogue([short], manifest("selective"))


def test_a_mix_belongs_to_one_model(catalogue: Catalogue) -> None:
    assert catalogue.model_of({"gold": 1.0, "neon": 0.5}, "mixes[0]") == "style-scene"
    assert catalogue.model_of({"writer-1": 1.0}, "mixes[0]") == "style-handwriting"
    with pytest.raises(
        InvalidParameter, match=r"mixes\[2\] mixes styles of several domains, .*mono \(print\)"
    ) as e:
        catalogue.model_of({"gold": 1.0, "mono": 1.0}, "mixes[2]")
    assert e.value.field == "mixes[2]"


def test_the_end_to_end_model_has_some_of_the_styles(catalogue: Catalogue) -> None:
    catalogue.check_end_to_end({"gold": 1.0, "neon": 2.0}, "mixes[0]")
    with pytest.raises(
        InvalidParameter, match="end-to-end model has no style 'mono'; take the mode SELECTIVE"
    ):
        catalogue.check_end_to_end({"gold": 1.0, "mono": 1.0}, "mixes[0]")


def test_colours_of_a_mix(catalogue: Catalogue) -> None:
    ink, paper = catalogue.colours({"gold": 2.0})
    assert (ink, paper) == ((200.0, 160.0, 30.0), (60.0, 30.0, 10.0))
    ink, paper = catalogue.colours({"neon": 3.0, "chalk": 1.0})
    assert ink == pytest.approx((232.5, 90, 210)) and paper == pytest.approx((22.5, 27.5, 42.5))
    ink, _ = catalogue.colours({"neon": 0.0, "chalk": 0.0})
    assert ink == pytest.approx((235, 140, 220))
    assert all(type(value) is float for value in (*ink, *paper))


def test_weights_follow_the_model_s_order() -> None:
    weights = mix_weights({"chalk": 0.5, "neon": 2.0}, tuple(STYLES["scene"]))
    assert weights.dtype == np.float32 and weights.tolist() == [2.0, 0.0, 0.5]


# Samples


class FakeBatcher:
    """Answers with a function of the item; ``fail_at`` makes one call fail."""

    def __init__(self, model: str, answer: Any) -> None:
        self.runtime = self
        self.manifest = manifest(model)
        self.calls = 0
        self.fail_at = -1
        self._answer = answer

    async def submit(
        self, item: Any, *, bucket: Any, pixels: int, deadline: float
    ) -> tuple[Any, StageTimings]:
        self.calls += 1
        number = self.calls  # others may call while this one waits
        await asyncio.sleep(0)
        if number == self.fail_at:
            raise DeadlineExceeded("too late")
        return self._answer(item), StageTimings()


def restyled(item: StyleItem) -> np.ndarray:
    """A plate whose colour tells the style's row."""
    plate = np.full_like(item.image, 40 + 60 * int(item.weights.argmax()))
    assert item.weights.sum() == 1 and item.mask is None
    plate[..., 2] = item.image[0, 0, 0]  # and the paper's red the model
    return plate


def mean_colour(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(-1, 3).mean(axis=0)


@pytest.fixture
def styling() -> dict[str, FakeBatcher]:
    return {f"style-{model}": FakeBatcher(model, restyled) for model in MODELS}


@pytest.fixture
def describing() -> FakeBatcher:
    return FakeBatcher("scene", mean_colour)


@pytest.fixture
def samples(catalogue: Catalogue, styling: Any, describing: Any) -> Samples:
    return Samples(catalogue, styling, describing)


def drawn(styling: dict[str, FakeBatcher]) -> Sequence[int]:
    return [styling[f"style-{model}"].calls for model in MODELS]


async def test_thumbnails_are_drawn_once(samples: Samples, styling: dict[str, FakeBatcher]) -> None:
    first, second = await asyncio.gather(samples.thumbnails(), samples.thumbnails())
    assert first is second and list(first) == [name for model in MODELS for name in STYLES[model]]
    assert drawn(styling) == [3, 2, 2]
    for name, content in first.items():
        with PillowImage.open(io.BytesIO(content)) as picture:
            assert picture.format == "PNG" and picture.size[0] > picture.size[1] > 56
        row = next(list(STYLES[model]).index(name) for model in MODELS if name in STYLES[model])
        assert (decode(content)[..., 0] == 40 + 60 * row).all()


async def test_the_nearest_style_is_one_of_its_domain(
    samples: Samples, styling: dict[str, FakeBatcher]
) -> None:
    for row, name in enumerate(STYLES["scene"]):
        plate = np.full((20, 50, 3), 40 + 60 * row, np.uint8)
        assert await samples.nearest(plate) == name
    assert await samples.nearest(np.full((9, 9, 3), 40, np.uint8), "print") == "serif"
    assert drawn(styling) == [3, 2, 2]


async def test_a_call_that_breaks_off_leaves_nothing_half_done(
    samples: Samples, styling: dict[str, FakeBatcher], describing: FakeBatcher
) -> None:
    """The first caller went away, or was too late, while the samples were described."""
    describing.fail_at = 4
    plate = np.full((20, 50, 3), 160, np.uint8)
    with pytest.raises(DeadlineExceeded):
        await samples.nearest(plate)
    assert await samples.nearest(plate) == "chalk"
    styling["style-print"].fail_at = 3
    assert len(await samples.thumbnails()) == 7  # drawn already


async def test_a_sample_that_fails_is_drawn_again(samples: Samples, styling: dict[str, FakeBatcher]) -> None:
    styling["style-print"].fail_at = 1
    with pytest.raises(DeadlineExceeded):
        await samples.thumbnails()
    assert len(await samples.thumbnails()) == 7
