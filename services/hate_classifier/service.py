"""What the hate classifier server is made of: the model, its batcher, the servicer."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from interplay.capabilities import get_capability
from interplay.predictors.batch import BatchOutput, Predictor
from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.predictors.hate_classifier.classifier import HateClassifier
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2_grpc as pb_grpc
from interplay.serving.batcher import Batcher
from interplay.serving.requests import Requests
from interplay.serving.runtime import InProcessRuntime
from interplay.serving.server import Service
from interplay.settings import available_cores
from services.hate_classifier.reading import ImageReader
from services.hate_classifier.servicer import HateClassifierServicer
from services.hate_classifier.settings import CAPABILITY, HateClassifierSettings

(MODEL,) = CAPABILITY.models


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


def build_service(
    settings: HateClassifierSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
) -> Service:
    """Batcher and servicer of this capability; the model is loaded later, by the batcher."""

    def load() -> Predictor[PostItem, PostAnswer]:
        return HateClassifier.open(
            settings.model_store,
            settings.model_version,
            device=settings.device,
            threads=settings.threads or available_cores(),
        )

    return service_of(load, settings, pool, on_death)


def service_of(
    load: Callable[[], Predictor[PostItem, PostAnswer]],
    settings: HateClassifierSettings,
    pool: ThreadPoolExecutor,
    on_death: Callable[[BaseException], None],
) -> Service:
    """The service around any classifier.

    Args:
        load: Makes the classifier; called by the batcher.
        settings: Of the process.
        pool: For decoding and answer making.
        on_death: Called when the batcher's thread dies.
    """
    runtime = InProcessRuntime(lambda: Discreet(load()))
    classifier = Batcher(MODEL, runtime, settings.batch_limits, on_death=on_death)
    detector = ModelServerClient(get_capability("text_detection"), settings.detection_target)
    servicer = HateClassifierServicer(
        classifier,
        ImageReader(detector, timeout_s=settings.read_timeout_s, at_once=settings.reads_at_once),
        Requests(classifier, pool, settings.image_limits, settings.max_deadline_s),
    )
    return Service(
        batchers=(classifier,),
        register=lambda server: pb_grpc.add_HateClassifierServiceServicer_to_server(servicer, server),  # type: ignore[no-untyped-call]
        close=detector.close,
    )
