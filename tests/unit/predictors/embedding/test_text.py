"""Texts by a table of words: sums, unknown words, what resembles them, other languages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from interplay.errors import InternalError
from interplay.predictors.embedding.text import TextEmbedder
from interplay.predictors.embedding.word_table import WordTable
from interplay.store import WEIGHTS_FILE, Manifest, StoredModel, publish

WORDS = ("dog", "beach", "skateboard", "skateboarding", "car")
VECTORS = np.eye(5, dtype=np.float32)
WEIGHTS = np.array([1, 2, 1, 1, 4], dtype=np.float32)
DETAILS: dict[str, Any] = {
    "stop_words": ["the", "at"],
    "translations": {"es": {"perro": "dog", "playa": "beach", "dog": "car beach"}},
}


def publish_words(store: Path, vectors: np.ndarray = VECTORS) -> StoredModel:
    manifest = Manifest(
        name="embedding-words",
        version=1,
        capability="embedding",
        architecture="word_table",
        config={"dimension": 5},
        description="five words",
        license="none",
        details=DETAILS,
        parameters=vectors.size,
    )
    weights = store / WEIGHTS_FILE
    words = WordTable(WORDS, vectors, WEIGHTS).encoded_words()
    state = {"words": words, "vectors": vectors.astype(np.float16), "weights": WEIGHTS.astype(np.float16)}
    save_file(state, weights)
    return publish(store, manifest, weights)


@pytest.fixture
def embedder(tmp_path: Path) -> TextEmbedder:
    return TextEmbedder.load(publish_words(tmp_path))


def test_a_text_is_the_weighted_sum_of_its_words_at_length_one(embedder: TextEmbedder) -> None:
    found = embedder.embed("The dog at the BEACH, dog")
    np.testing.assert_allclose(found.vector, np.array([2, 2, 0, 0, 0]) / np.sqrt(8), atol=1e-6)
    assert found.words == ("dog", "beach", "dog") and found.unknown == () and found.read_as == {}


def test_an_unknown_word_is_told_and_left_out(embedder: TextEmbedder) -> None:
    found = embedder.embed("dog zzzyx")
    assert found.unknown == ("zzzyx",) and found.words == ("dog",)
    np.testing.assert_allclose(found.vector, VECTORS[0])


def test_a_misspelt_word_is_read_as_what_it_resembles(embedder: TextEmbedder) -> None:
    found = embedder.embed("skateboards")
    assert found.read_as == {"skateboards": ("skateboard", "skateboarding")} and found.unknown == ()
    np.testing.assert_allclose(found.vector, np.array([0, 0, 1, 1, 0]) / np.sqrt(2), atol=1e-6)
    assert embedder.resembling("skàteboard")[0] == "skateboard"


@pytest.mark.parametrize("text", ["", "!?", "the at", "qqqq"])
def test_a_text_without_a_known_word_has_no_direction(embedder: TextEmbedder, text: str) -> None:
    found = embedder.embed(text)
    assert not found.vector.any() and np.isfinite(found.vector).all()


def test_another_language_comes_first_where_it_is_asked_for(embedder: TextEmbedder) -> None:
    assert embedder.languages == ("es",)
    found = embedder.embed("Perro, playa, car", "es")
    assert found.read_as == {"perro": ("dog",), "playa": ("beach",)} and found.words == ("car",)
    np.testing.assert_allclose(found.vector, np.array([1, 2, 0, 0, 4]) / np.sqrt(21), atol=1e-6)
    assert embedder.embed("dog", "es").read_as == {"dog": ("car", "beach")}
    assert embedder.embed("perro").words == ()
    with pytest.raises(KeyError):
        embedder.embed("dog", "xx")


def test_weights_that_are_no_table_of_the_words_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InternalError, match="has 5 words, 4 vectors and 5 weights"):
        TextEmbedder.load(publish_words(tmp_path, VECTORS[:4]))


def test_pooling_is_a_weighted_mean() -> None:
    table = WordTable(WORDS, VECTORS, WEIGHTS)
    np.testing.assert_allclose(table.pool([0, 4]), [0.2, 0, 0, 0, 0.8], atol=1e-6)
    assert not table.pool([]).any()
    assert table.rows(["car", "nope", "dog"]) == [4, 0]
