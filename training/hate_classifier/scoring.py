"""Posts through the serving predictor: what is measured is what is served."""

from collections.abc import Sequence

import numpy as np

from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier


def probabilities(
    classifier: HateClassifier, items: Sequence[PostItem]
) -> tuple[np.ndarray, list[PostAnswer | None]]:
    """(N,) probability of each item, 0.5 where it was refused, and the answers."""
    answers: list[PostAnswer | None] = []
    for start in range(0, len(items), 64):
        for found in classifier.predict(items[start : start + 64]).results:
            answers.append(found if isinstance(found, PostAnswer) else None)
    return np.array([0.5 if one is None else one.probability for one in answers]), answers
