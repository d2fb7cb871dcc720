"""The image model: tags without places, and vectors for the scorers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from interplay.errors import InternalError
from interplay.predictors.locsens.image import ImageTagger
from tests.embedding_models import COLOURS, plain
from tests.locsens_models import DIMENSION, TAGS, make_locsens_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_locsens_store(tmp_path_factory.mktemp("model") / "store")


def test_colours_are_tagged(store: Path) -> None:
    tagger = ImageTagger.open(store, device="cpu", dtype="float32")
    found = tagger.predict([plain(colour, seed=9) for colour in COLOURS])
    assert [TAGS[image.chances.argmax()] for image in found] == list(COLOURS)
    for image in found:
        assert image.vector.shape == (DIMENSION,) and image.chances.shape == (len(TAGS),)
        assert np.linalg.norm(image.vector) == pytest.approx(1, abs=1e-5)
        assert image.chances.sum() == pytest.approx(1, abs=1e-5)


def test_alone_and_in_a_batch_are_the_same(store: Path) -> None:
    tagger = ImageTagger.open(store, device="cpu", dtype="float32")
    pictures = [plain(colour, seed=seed) for seed, colour in enumerate(COLOURS)]
    for picture, result in zip(pictures, tagger.predict(pictures), strict=True):
        alone = tagger.predict([picture])[0]
        np.testing.assert_allclose(alone.vector, result.vector, atol=1e-5)
        np.testing.assert_allclose(alone.chances, result.chances, atol=1e-5)


def test_vectors_of_tags_have_length_one(store: Path) -> None:
    tagger = ImageTagger.open(store, device="cpu")
    assert tagger.tag_vectors.shape == (len(TAGS), DIMENSION)
    np.testing.assert_allclose(np.linalg.norm(tagger.tag_vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(ImageTagger.open_tag_vectors(store), tagger.tag_vectors)


@pytest.mark.parametrize(("key", "value"), [("backbone_sha256", "0" * 64)])
def test_a_head_of_another_backbone_is_refused(tmp_path: Path, key: str, value: str) -> None:
    store = make_locsens_store(tmp_path / "store")
    file = store / "locsens-image" / "1" / "manifest.json"
    manifest = json.loads(file.read_text())
    manifest["details"][key] = value
    file.write_text(json.dumps(manifest))
    with pytest.raises(InternalError, match="was trained on the backbone 000"):
        ImageTagger.open(store)
