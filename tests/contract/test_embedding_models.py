"""The shipped embedding does what its manifests say: words find their pictures, in several languages."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.media.images import decode
from interplay.predictors.embedding.image import ImageEmbedder
from interplay.predictors.embedding.text import TextEmbedder
from interplay.store import resolve
from tests.conftest import REPOSITORY_ROOT

STORE = REPOSITORY_ROOT / "model_store"
FEATURES_MEAN = 0.110
SCORES = {"street": 0.262, "sign": 0.375, "building": 0.369, "dog": -0.186, "pizza": -0.119, "beach": -0.122}


@pytest.fixture(scope="module")
def words() -> TextEmbedder:
    return TextEmbedder.load(resolve(STORE, "embedding-words"))


def load_image(dtype: str) -> ImageEmbedder:
    return ImageEmbedder.load(
        resolve(STORE, "embedding-image"), resolve(STORE, "backbone-lite0"), device="cpu", dtype=dtype
    )


def test_the_parts_were_made_for_each_other() -> None:
    image, words, backbone = (
        resolve(STORE, name).manifest for name in ("embedding-image", "embedding-words", "backbone-lite0")
    )
    assert image.details["words_sha256"] == words.weights_sha256
    assert image.details["backbone_sha256"] == backbone.weights_sha256
    assert image.config["dimension"] == words.config["dimension"]
    assert words.thresholds["odds_slope"] > 0 and 0 < words.thresholds["relevant"] < 1


@pytest.mark.parametrize(
    ("language", "word", "english"),
    [("es", "perro", "dog"), ("ca", "platja", "beach"), ("fr", "neige", "snow"), ("de", "hund", "dog"),
     ("it", "spiaggia", "beach"), ("pt", "cachorro", "dog")],
)  # fmt: skip
def test_query_words_of_other_languages(words: TextEmbedder, language: str, word: str, english: str) -> None:
    assert english in words.embed(word, language).read_as[word]


def test_words_of_one_subject_are_near(words: TextEmbedder) -> None:
    def near(one: str, other: str) -> float:
        return float(words.embed(one).vector @ words.embed(other).vector)

    assert near("skis", "snow") > near("skis", "pizza") + 0.2
    assert near("surfboard", "wave") > near("surfboard", "street") + 0.2
    assert words.embed("the skateboardingg").read_as and words.embed("qzxv").unknown == ("qzxv",)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_golden_output(words: TextEmbedder, dtype: str) -> None:
    """The example photo of the README through shipped version 2; a new version gets figures of its own."""
    photo = decode((REPOSITORY_ROOT / "examples" / "street.jpg").read_bytes())
    (result,) = load_image(dtype).predict([photo])
    assert np.linalg.norm(result.vector) == pytest.approx(1, abs=1e-3)
    assert result.features.mean() == pytest.approx(FEATURES_MEAN, abs=0.01)
    scores = {word: float(words.embed(word).vector @ result.vector) for word in SCORES}
    assert scores == pytest.approx(SCORES, abs=0.01)
