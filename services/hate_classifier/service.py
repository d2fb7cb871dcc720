"""What the hate classifier server is made of: the model, its batcher, the servicer."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from interplay.capabilities import get_capability
from interplay.predictors.hate_classifier.answers import PostAnswer, PostItem
from interplay.rpc.clients import ModelServerClient
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2_grpc as pb_grpc
from interplay.serving.batcher import Batcher
from interplay.serving.requests import Requests
from interplay.serving.runtime import Runtime
from interplay.serving.runtimes import runtime_for
from interplay.serving.server import Service
from services.hate_classifier.open_inference import open_models
from services.hate_classifier.reading import ImageReader
from services.hate_classifier.servicer import HateClassifierServicer
from services.hate_classifier.settings import CAPABILITY, HateClassifierSettings

(MODEL,) = CAPABILITY.models


def build_service(
    settings: HateClassifierSettings, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
) -> Service:
    """Batcher and servicer of this capability; the model is loaded later, by the batcher."""
    return service_of(runtime_for(settings, MODEL, settings.model_version), settings, pool, on_death)


def service_of(
    runtime: Runtime[PostItem, PostAnswer],
    settings: HateClassifierSettings,
    pool: ThreadPoolExecutor,
    on_death: Callable[[BaseException], None],
) -> Service:
    """The service around any classifier.

    Args:
        runtime: Of the classifier.
        settings: Of the process.
        pool: For decoding and answer making.
        on_death: Called when the batcher's thread dies.
    """
    classifier = Batcher(MODEL, runtime, settings.batch_limits, on_death=on_death)
    detector = ModelServerClient(get_capability("text_detection"), settings.detection_target)
    requests = Requests(classifier, pool, settings.image_limits, settings.max_deadline_s)
    servicer = HateClassifierServicer(
        classifier,
        ImageReader(detector, timeout_s=settings.read_timeout_s, at_once=settings.reads_at_once),
        requests,
    )
    return Service(
        batchers=(classifier,),
        register=lambda server: pb_grpc.add_HateClassifierServiceServicer_to_server(servicer, server),  # type: ignore[no-untyped-call]
        close=detector.close,
        tensors=open_models(classifier, requests),
    )
