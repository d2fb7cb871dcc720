"""The general model: what is learnt of one group holds for others, and what it does not say is kept out."""

from __future__ import annotations

import numpy as np
import pytest

from training.hate_classifier.general import (
    BALANCED,
    FOLDS,
    WEIGHTS,
    cross_general,
    fit_general,
    fold_of,
    report,
    weights_of,
)
from training.hate_classifier.sets import Text

BAD, GOOD = ["vile", "nasty", "worthless"], ["clever", "kind", "brave"]


def _texts() -> list[Text]:
    found = []
    for number in range(90):
        for hate, words in ((1.0, BAD), (0.0, GOOD)):
            text = f"i think women are {words[number % 3]} {number}"
            found.append(Text(text, hate, "ToxiGen", text))
            found.append(Text(f"weeds are {BAD[number % 3]} {number}", 0.0, "captions", f"weeds {number}"))
    return found


TEXTS = _texts()


def test_holds_for_groups_that_were_not_named() -> None:
    model = fit_general(TEXTS)
    assert model.score("i think muslims are vile") > 0 > model.score("i think muslims are kind")
    assert model.score("weeds are vile") < 0
    assert len(model.blocks[0].keys) == len(set(model.blocks[0].keys.tolist()))
    small = fit_general(TEXTS, most=10)
    assert len(small.blocks[0].keys) == 10 and small.score("muslims are vile") > small.score(
        "muslims are kind"
    )


def test_numbers_fit_into_sixteen_bits() -> None:
    for block in fit_general(TEXTS).blocks:
        for values in (block.scale, block.weights):
            assert np.array_equal(values, values.astype(np.float16).astype(np.float32))


def test_scores_are_out_of_fold() -> None:
    fold = fold_of(TEXTS)
    assert set(fold) == set(range(FOLDS))
    assert fold_of([Text("a", 1.0, "ToxiGen", "unit"), Text("b", 0.0, "ToxiGen", "unit")]).std() == 0
    scores = cross_general(TEXTS)
    outer = [text for text, of in zip(TEXTS, fold, strict=True) if of != fold[0]]
    assert scores[0] == pytest.approx(fit_general(outer).score(TEXTS[0].text))


def test_sources_weigh_what_is_said() -> None:
    weights = weights_of(TEXTS)
    sources, hate = np.array([text.source for text in TEXTS]), np.array([text.hate for text in TEXTS])
    assert weights.mean() == pytest.approx(1)
    total = {name: weights[sources == name].sum() for name in ("ToxiGen", "captions")}
    assert total["ToxiGen"] / total["captions"] == pytest.approx(WEIGHTS["ToxiGen"] / WEIGHTS["captions"])
    assert "ToxiGen" in BALANCED
    inside = sources == "ToxiGen"
    assert weights[inside & (hate == 1)].sum() == pytest.approx(weights[inside & (hate == 0)].sum())


def test_report_tells_sources_apart() -> None:
    texts = [
        Text("a", 1.0, "statements: hateful", "threat a"),
        Text("b", 0.0, "statements: harmless", "support b"),
        Text("c", 0.0, "captions", "c"),
    ]
    found = report(texts, np.array([1.0, -1.0, 1.0]))
    assert "| statements | 2 | 1.000 | 1.00 | 1.00 |" in found
    assert "| captions | 1 | – | – | 0.00 |" in found
    assert "| statements: hateful, threat | 1 | – | 1.00 | – |" in found
