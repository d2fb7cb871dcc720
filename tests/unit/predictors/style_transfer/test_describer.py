"""The describer: pictures of one style are nearer to each other than to those of another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from interplay.errors import InternalError
from interplay.predictors.style_transfer.describer import StyleDescriber, load_perceptual
from interplay.predictors.style_transfer.words import draw_words
from interplay.store import StoredModel
from tests.style_models import publish_perceptual, random_perceptual

CHANNELS = 64 + 128 + 256


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    return publish_perceptual(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def describer(stored: StoredModel) -> StyleDescriber:
    return StyleDescriber.load(stored, device="cpu")


def describe(describer: StyleDescriber, image: np.ndarray) -> np.ndarray:
    vector = describer.predict_batch([image]).results[0]
    assert isinstance(vector, np.ndarray)
    return vector


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (300, 5), (64, 64), (33, 97), (40, 2000)])
def test_a_vector_for_any_picture(describer: StyleDescriber, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    vector = describe(describer, image)
    assert vector.shape == (2 * CHANNELS,) and vector.dtype == np.float32
    assert np.isfinite(vector).all() and vector.min() >= 0


def test_likeness(describer: StyleDescriber) -> None:
    """Other letters and another size, the same colours: nearer than the same letters in other colours."""
    first = describe(describer, draw_words("Hotel", 56, (250, 230, 60), (30, 60, 150)).image)
    like = describe(describer, draw_words("Bakery", 90, (250, 230, 60), (30, 60, 150)).image)
    unlike = describe(describer, draw_words("Hotel", 56, (20, 20, 20), (240, 240, 230)).image)
    assert np.square(first - like).sum() < 0.5 * np.square(first - unlike).sum()


def test_batches_and_repetitions_agree(describer: StyleDescriber) -> None:
    describer.warm_up()
    images = [draw_words(word, 40, (0, 0, 0), (255, 255, 255)).image for word in ("a", "longer")]
    output = describer.predict_batch(images)
    assert output.infer_s > 0 and (describer.device, describer.dtype) == ("cpu", "float32")
    for image, vector in zip(images, output.results, strict=True):
        np.testing.assert_array_equal(vector, describe(describer, image))


def test_stored_weights_are_those_that_were_published(stored: StoredModel) -> None:
    loaded, original = load_perceptual(stored), random_perceptual()
    for found, expected in zip(loaded.parameters(), original.parameters(), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-3)


def test_another_network_is_refused(stored: StoredModel) -> None:
    for config in ({"kind": "vgg16"}, {"kind": "resnet"}, {}):
        manifest = stored.manifest.model_copy(update={"config": config})
        with pytest.raises(InternalError, match="does not hold a perceptual network"):
            load_perceptual(StoredModel(manifest, Path(stored.directory)))
