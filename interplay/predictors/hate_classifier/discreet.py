"""A classifier whose failures say nothing of the posts."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

from interplay.predictors.batch import BatchOutput, Predictor
from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem


class Discreet:
    """A classifier whose failures tell where, but nothing of the posts, which an exception may quote.

    Args:
        classifier: Does the work.
    """

    def __init__(self, classifier: Predictor[PostItem, PostAnswer]) -> None:
        self._classifier = classifier
        self.manifest, self.device, self.dtype = classifier.manifest, classifier.device, classifier.dtype

    def predict_batch(self, batch: Sequence[PostItem]) -> BatchOutput[PostAnswer]:
        """See ``Predictor``.

        Raises:
            RuntimeError: The classifier raised; the message has the exception's type and place.
        """
        try:
            return self._classifier.predict_batch(batch)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} at {place.filename}:{place.lineno}"
        raise RuntimeError(what)  # outside of the handler, so that it does not carry the other one along

    def warm_up(self) -> None:
        """See ``Predictor``."""
        self._classifier.warm_up()
