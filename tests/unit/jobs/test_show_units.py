"""Which units are shown, and where in an image one answers."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.errors import InvalidParameter
from interplay.jobs import compare_distances, deep_dream, map_embedding, show_units
from interplay.jobs.show_units import choose_units, coherence, region_of, strongest


def answers() -> np.ndarray:
    """160 images of eight kinds: units 0 to 7 know one each, 8 doubles 0, 9 to 24 are noise."""
    rng = np.random.default_rng(0)
    pooled = rng.random((160, 25)).astype(np.float32)
    for kind in range(8):
        pooled[kind * 20 : (kind + 1) * 20, kind] += 4
    pooled[:20, 8] += 4
    return pooled


def test_units_that_know_one_kind_are_chosen_and_each_kind_once() -> None:
    pooled = answers()
    alike, directions = coherence(pooled, 5)
    assert alike[:9].min() > alike[9:].max()
    assert np.linalg.norm(directions, axis=1) == pytest.approx(np.ones(25), abs=1e-4)
    chosen = choose_units(pooled, 8, 5)
    assert sorted(0 if unit == 8 else unit for unit in chosen) == list(range(8))


def test_one_image_a_unit() -> None:
    alike, _ = coherence(answers(), 1)
    assert (alike == 0).all() and len(choose_units(answers(), 2, 1)) == 2


def test_the_strongest_come_first() -> None:
    assert strongest(np.array([0.1, 3, 2, 3], np.float32), 3) == [1, 3, 2]


def test_a_region_is_where_the_map_is_high() -> None:
    values = np.zeros((7, 7), np.float32)
    values[1, 5] = 2
    region = region_of(values, (140, 280), 0.5)
    assert region.shape == (140, 280) and region[30, 220] and region.mean() < 0.05
    assert not region[:, :150].any() and not region[70:].any()
    assert not region_of(np.zeros((7, 7), np.float32), (20, 20), 0.5).any()


@pytest.mark.parametrize(
    ("kind", "params", "told"),
    [
        (show_units.KIND, {"units": [1280]}, "params.units.0: .* less than or equal to 1279"),
        (show_units.KIND, {"units": [3, 3]}, "a unit is there more than once"),
        (show_units.KIND, {"top": 13}, "params.top: .* less than or equal to 12"),
        (show_units.KIND, {"threshold": 1.0}, "params.threshold: .* less than 1"),
        (map_embedding.KIND, {"words": ["a", "a"]}, "the word 'a' is there more than once"),
        (map_embedding.KIND, {"canvas_px": 399}, "params.canvas_px: .* greater than or equal to 400"),
        (map_embedding.KIND, {"limit": 20_001}, "params.limit: .* less than or equal to 20000"),
        (compare_distances.KIND, {"pairs": 1}, "params.pairs: .* greater than or equal to 2"),
        (deep_dream.KIND, {"unit": 1280}, "params.unit: .* less than or equal to 1279"),
        (deep_dream.KIND, {"layer": 9}, "params.layer: .* less than or equal to 8"),
        (deep_dream.KIND, {"side_px": 2000}, "params.side_px: .* less than or equal to 1024"),
        (deep_dream.KIND, {"layer": 3, "word": "dog"}, "one aim is taken, and there are 2: layer, word"),
    ],
)
def test_options_out_of_range_are_refused(kind: object, params: dict[str, object], told: str) -> None:
    base = {"image": "a.jpg"} if kind is deep_dream.KIND else {"input": "in"}
    with pytest.raises(InvalidParameter, match=told):
        kind.validate({**base, **params})  # type: ignore[attr-defined]
