"""Votes of annotators, and their agreement as published examples have it."""

import numpy as np
import pytest

from training.datasets.posts import Post
from training.hate_classifier.agreement import (
    fleiss_kappa,
    label_counts,
    majority_category,
    majority_hate,
    soft_label,
    soft_labels,
)


@pytest.mark.parametrize(
    ("labels", "hate", "category", "soft"),
    [
        (("NotHate", "NotHate", "NotHate"), False, "NotHate", 0),
        (("NotHate", "Racist", "NotHate"), False, "NotHate", 1 / 3),
        (("Racist", "NotHate", "Racist"), True, "Racist", 2 / 3),
        (("Racist", "NotHate", "Sexist"), True, None, 2 / 3),  # hate, but of no kind
        (("Racist", "Religion", "Sexist"), True, None, 1),
        (("Racist", "NotHate", "Sexist", "NotHate"), False, None, 1 / 2),
        (("Homophobe",), True, "Homophobe", 1),
    ],
)
def test_votes(labels: tuple[str, ...], hate: bool, category: str | None, soft: float) -> None:
    assert majority_hate(labels) is hate
    assert majority_category(labels) == category
    assert soft_label(labels) == pytest.approx(soft)
    assert soft_labels([Post("1", "", labels=labels)]) == pytest.approx([soft])


def test_no_votes() -> None:
    for vote in (majority_hate, majority_category, soft_label):
        with pytest.raises(ValueError, match="at least one label"):
            vote(())


# The worked example of the Wikipedia article on Fleiss' kappa: 14 raters, 10 subjects, 5 categories.
WORKED = [
    [0, 0, 0, 0, 14],
    [0, 2, 6, 4, 2],
    [0, 0, 3, 5, 6],
    [0, 3, 9, 2, 0],
    [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0],
    [3, 2, 6, 3, 0],
    [2, 5, 3, 2, 2],
    [6, 5, 2, 1, 0],
    [0, 2, 2, 3, 7],
]


def test_fleiss_kappa_of_the_published_example() -> None:
    assert fleiss_kappa(np.array(WORKED)) == pytest.approx(0.210, abs=5e-4)


def test_fleiss_kappa_at_its_ends() -> None:
    assert fleiss_kappa(np.array([[3, 0], [0, 3]])) == 1
    assert fleiss_kappa(np.array([[3, 0], [3, 0]])) == 1
    assert fleiss_kappa(np.array([[1, 1], [1, 1]])) == -1
    chance = np.random.default_rng(0).multinomial(3, [0.6, 0.4], size=20_000)
    assert fleiss_kappa(chance) == pytest.approx(0, abs=0.02)


def test_fleiss_kappa_refuses_other_tables() -> None:
    with pytest.raises(ValueError, match="they have 2 to 3"):
        fleiss_kappa(np.array([[3, 0], [1, 1]]))
    with pytest.raises(ValueError, match="at least 2 ratings a subject, not 1"):
        fleiss_kappa(np.array([[1, 0]]))
    with pytest.raises(ValueError, match=r"got shape \(0, 2\)"):
        fleiss_kappa(np.zeros((0, 2)))


def test_counts_of_labels() -> None:
    ratings = [("NotHate", "Racist", "OtherHate"), ("Racist", "Racist", "Racist")]
    assert label_counts(ratings).tolist() == [[1, 1, 0, 0, 0, 1], [0, 3, 0, 0, 0, 0]]
    assert label_counts(ratings, binary=True).tolist() == [[1, 2], [0, 3]]
    with pytest.raises(ValueError, match="label 'Blarg' is none of"):
        label_counts([("Blarg",)])
