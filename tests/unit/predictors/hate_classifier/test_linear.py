"""Linear models: scores by hand, saved and loaded, broken files refused."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from interplay.predictors.hate_classifier.features import NUMBERS, numbers
from interplay.predictors.hate_classifier.linear import (
    CONFIG_FILE,
    WEIGHTS_FILE,
    Block,
    BlockConfig,
    LinearModel,
    combine,
    digest,
)


def block(config: BlockConfig, entries: dict[str, tuple[float, float]]) -> Block:
    """A block of n-grams with (scale, weight)."""
    ordered = sorted((digest(gram), *values) for gram, values in entries.items())
    keys, scale, weights = (np.array(column) for column in zip(*ordered, strict=True))
    return Block(config, keys.astype(np.int64), scale.astype(np.float32), weights.astype(np.float32))


WORDS = BlockConfig("words", "words", longest=2)


def model() -> LinearModel:
    image = BlockConfig("image", "words", source="image_text", value="present")
    return LinearModel(
        [
            block(WORDS, {"blarg": (2.0, 0.5), "a blarg": (1.0, 0.25), "fine": (1.0, -1.0)}),
            block(image, {"blarg": (1.0, 3.0)}),
        ],
        bias=-0.5,
    )


def test_a_score_is_the_sum_of_what_is_known() -> None:
    assert model().contributions("a BLARG blarg day", "Blarg blarg") == {"words": 2.25, "image": 3.0}
    assert model().score("a BLARG blarg day", "Blarg blarg") == 4.75
    assert model().score("a BLARG blarg day") == 1.75
    assert model().score("") == -0.5
    assert model().probability("fine") == pytest.approx(1 / (1 + math.exp(1.5)))


def test_values_of_n_grams() -> None:
    def scored(**facts: object) -> float:
        config = BlockConfig("words", "words", **facts)
        return block(config, {"x1": (2.0, 1.0), "y1": (1.0, 10.0)}).score("x1 x1 x1 y1 z1")

    assert scored(value="count") == 16
    assert scored(value="present") == 12
    assert scored(value="log_count") == pytest.approx(2 * (1 + math.log(3)) + 10)
    assert scored(value="present", unit_length=True) == pytest.approx(12 / math.sqrt(5), rel=1e-6)


def test_numbers_are_a_block() -> None:
    rng = np.random.default_rng(0)
    scale, weights = rng.random((2, len(NUMBERS))).astype(np.float32)
    found = Block(BlockConfig("n", "numbers"), np.arange(len(NUMBERS)), scale, weights)
    text = "what a nice day"
    assert found.score(text) == pytest.approx(float(numbers(text) @ (scale.astype(float) * weights)))


def test_saved_and_loaded_scores_are_the_same(tmp_path: Path) -> None:
    model().save(tmp_path / "model")
    again = LinearModel.load(tmp_path / "model")
    for text in ("a blarg", "fine fine", "", "你好"):
        assert again.contributions(text, text) == model().contributions(text, text)
    # Neither file holds a word of the posts.
    files = [(tmp_path / "model" / name).read_bytes() for name in (CONFIG_FILE, WEIGHTS_FILE)]
    assert not any(b"blarg" in content for content in files)


def test_the_mean_of_models() -> None:
    other = LinearModel([block(WORDS, {"blarg": (1.0, 8.0)})], bias=2.5)
    both = combine({"first": model(), "second": other})
    for text in ("a blarg", "fine", ""):
        assert both.score(text, text) == pytest.approx((model().score(text, text) + other.score(text)) / 2)
    assert set(both.contributions("x")) == {"first-words", "first-image", "second-words"}


def test_broken_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        LinearModel.load(tmp_path)
    model().save(tmp_path)
    config = json.loads((tmp_path / CONFIG_FILE).read_text())

    def refused(message: str, **changes: object) -> None:
        (tmp_path / CONFIG_FILE).write_text(json.dumps({**config, **changes}))
        with pytest.raises(ValueError, match=message):
            LinearModel.load(tmp_path)

    refused("'gone.keys'", blocks=[{"name": "gone", "kind": "words"}])
    refused("kind 'sounds' is none of", blocks=[{"name": "words", "kind": "sounds"}])
    refused("unexpected keyword argument 'more'", blocks=[{"name": "words", "kind": "words", "more": 1}])
    refused("n-grams of 3 to 2", blocks=[{"name": "w", "kind": "words", "shortest": 3, "longest": 2}])
    refused("block names must differ", blocks=[config["blocks"][0]] * 2)
    refused("bias must be finite", bias=float("nan"))
    refused("expected 17 numbers, got 3", blocks=[{"name": "words", "kind": "numbers"}])
    (tmp_path / CONFIG_FILE).write_text("{")
    with pytest.raises(ValueError, match="holds no linear model"):
        LinearModel.load(tmp_path)
    model().save(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes((tmp_path / WEIGHTS_FILE).read_bytes()[:-8])
    with pytest.raises(ValueError, match="holds no linear model"):
        LinearModel.load(tmp_path)


def test_a_block_checks_its_arrays() -> None:
    keys, ones = np.array([1, 2]), np.ones(2, np.float32)
    ends = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max])
    assert Block(WORDS, ends, ones, ones).score("blarg") == 0
    with pytest.raises(ValueError, match="keys are not ascending"):
        Block(WORDS, keys[::-1].copy(), ones, ones)
    with pytest.raises(ValueError, match="weights is float64"):
        Block(WORDS, keys, ones, ones.astype(np.float64))
    with pytest.raises(ValueError, match=r"scale is float32 \(1,\)"):
        Block(WORDS, keys, ones[:1], ones)
    with pytest.raises(ValueError, match="not finite"):
        Block(WORDS, keys, ones, ones * np.float32("nan"))
