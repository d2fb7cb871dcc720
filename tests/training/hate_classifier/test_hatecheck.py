"""HateCheck's figures, on cases made up here."""

from __future__ import annotations

import numpy as np
import pytest

from interplay.predictors.hate_classifier.fusion import wilson
from training.datasets.posts import HateCheckCase
from training.hate_classifier.hatecheck import rows, said, table, totals

CASES = [
    HateCheckCase("case one", "threat_h", True, "women"),
    HateCheckCase("case two", "threat_h", True, ""),
    HateCheckCase("case three", "support_nh", False, "women"),
    HateCheckCase("case four", "support_nh", False, "women"),
]
PROBABILITY = np.array([0.5, 0.4, 0.5, 0.1])


def test_shares_by_kind_and_group() -> None:
    found = rows(CASES, PROBABILITY, 0.5, "functionality")
    assert [row[:3] for row in found] == [("threat_h", 2, 0.5), ("support_nh", 2, 0.5)]
    assert found[0][3:] == wilson(1, 2)
    groups = rows(CASES, PROBABILITY, 0.5, "group")
    assert [row[:3] for row in groups] == [("women", 3, pytest.approx(2 / 3)), ("", 1, 0.0)]
    shown = table(groups, "group")
    assert "| women | 3 | 0.67 [" in shown and "| none | 1 | 0.00 [" in shown
    assert not any(case.text in shown for case in CASES)  # no case is ever shown


def test_totals() -> None:
    labels = np.array([True] * 6 + [False] * 4)
    probability = np.array([0.9, 0.8, 0.7, 0.5, 0.2, 0.1, 0.6, 0.3, 0.2, 0.1])
    cells = [cell.strip() for cell in totals(labels, probability, 0.5).split("|")]
    assert cells[1] == "10"
    assert cells[2].startswith(f"{2 * 4 / (6 + 5):.3f}") and cells[3] == f"{2 * 3 / (4 + 5):.3f}"
    assert cells[6:8] == [f"{4 / 6:.3f}", f"{3 / 4:.3f}"]  # a score at the threshold is called hate


def test_signs_do_not_make_another_text() -> None:
    assert said("One, TWO!") == said("one two.") == "one two" != said("one three")
