"""Shapley values, intervals, and how scores are put together."""

from itertools import permutations

import pytest

from interplay.predictors.hate_classifier.fusion import (
    WITH_TEXT,
    WITHOUT_TEXT,
    Bin,
    Fusion,
    Weighing,
    shapley,
    sigmoid,
    wilson,
)

BINS = [Bin(0.4, 20, 100), Bin(1.0, 70, 100)]
TWEET = Weighing(0.1, {"text": 1.0, "image": 0.5}, {"text": 0.0, "image": 1.0}, BINS)
MEME = Weighing(-0.2, {"image": 2.0}, {"image": 0.5}, [])
FUSION = Fusion(0.3, {WITH_TEXT: TWEET, WITHOUT_TEXT: MEME})


def test_shapley_is_the_mean_over_all_orders() -> None:
    worth = {
        "": 0.1, "a": 0.5, "b": 0.2, "c": 0.1, "ab": 0.9, "ac": 0.4, "bc": 0.3, "abc": 0.6,
    }  # fmt: skip

    def value(chosen: frozenset[str]) -> float:
        return worth["".join(sorted(chosen))]

    found = shapley("abc", value)
    for name in "abc":
        steps = []
        for order in permutations("abc"):
            before = frozenset(order[: order.index(name)])
            steps.append(value(before | {name}) - value(before))
        assert found[name] == pytest.approx(sum(steps) / 6)
    assert sum(found.values()) == pytest.approx(0.6 - 0.1)


def test_posts_with_and_without_text_are_weighed_apart() -> None:
    image = {WITH_TEXT: 3.0, WITHOUT_TEXT: 1.0}
    assert FUSION.probability({"text": {WITH_TEXT: 2.0}, "image": image}) == pytest.approx(
        sigmoid(0.1 + 2.0 + 0.5 * (3.0 - 1.0))
    )
    assert FUSION.probability({"image": image}) == pytest.approx(sigmoid(-0.2 + 2 * (1.0 - 0.5)))
    assert FUSION.probability({}) == 0.3


def test_configuration_comes_back() -> None:
    fusion = Fusion(0.3, {WITH_TEXT: TWEET, WITHOUT_TEXT: TWEET})
    assert Fusion.from_config(fusion.config()) == fusion
    with pytest.raises(ValueError, match="baseline"):
        Fusion.from_config({"kinds": fusion.config()["kinds"]})


def test_interval_is_of_the_posts_nearby_and_holds_the_probability() -> None:
    low, high = TWEET.interval(0.2)
    assert (low, high) == pytest.approx(wilson(20, 100))
    assert TWEET.interval(0.05)[0] == 0.05
    assert TWEET.interval(0.99)[1] == 0.99
    assert TWEET.interval(0.65)[0] == pytest.approx(wilson(70, 100)[0])


def test_wilson() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 20) == pytest.approx((0.2993, 0.7007), abs=1e-4)
    assert wilson(0, 10)[0] == 0.0 and wilson(10, 10)[1] == pytest.approx(1.0)
