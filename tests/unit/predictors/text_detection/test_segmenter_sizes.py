"""Sizes at which photos are fed to the model, for any photo and any manifest."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from interplay.predictors.text_detection.segmenter import input_size, scaled_size
from interplay.store import Preprocessing

SIDES = st.integers(1, 20_000)
PREPROCESSING = st.builds(
    Preprocessing,
    scale=st.floats(0.1, 2.0),
    max_side=st.integers(32, 2048),
    multiple=st.sampled_from([1, 2, 32, 64]),
)


@settings(deadline=None)
@given(height=SIDES, width=SIDES, preprocessing=PREPROCESSING)
def test_scaled_size(height: int, width: int, preprocessing: Preprocessing) -> None:
    h, w = scaled_size(height, width, preprocessing)
    assert h % 2 == w % 2 == 0
    assert min(h, w) >= 2
    assert max(h, w) <= preprocessing.max_side + 1  # rounded to an even number
    scale = min(preprocessing.scale, preprocessing.max_side / max(height, width))
    assert abs(h - max(2, height * scale)) <= 1.001
    assert abs(w - max(2, width * scale)) <= 1.001
    assert (w, h) == scaled_size(width, height, preprocessing)


@settings(deadline=None)
@given(height=SIDES, width=SIDES, preprocessing=PREPROCESSING)
def test_input_size_is_the_next_multiple(height: int, width: int, preprocessing: Preprocessing) -> None:
    scaled = scaled_size(height, width, preprocessing)
    for padded, side in zip(input_size(height, width, preprocessing), scaled, strict=True):
        assert padded % preprocessing.multiple == 0
        assert side <= padded < side + preprocessing.multiple


def test_usual_sizes() -> None:
    preprocessing = Preprocessing()
    assert input_size(720, 1280, preprocessing) == (736, 1280)
    assert input_size(1440, 2560, preprocessing) == (736, 1280)
    assert scaled_size(720, 1280, preprocessing) == (720, 1280)
    assert input_size(1, 1, preprocessing) == (32, 32)
