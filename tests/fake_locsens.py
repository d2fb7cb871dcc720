"""A LocSens server for tests: the real contract over real gRPC, canned scores, one index in a dict."""

from __future__ import annotations

from concurrent import futures
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from interplay.capabilities import get_capability
from interplay.errors import InterplayError, InvalidParameter, NotFound
from interplay.media.exif import photo_place
from interplay.rpc.common.v1 import common_pb2, index_pb2_grpc, models_pb2, models_pb2_grpc
from interplay.rpc.locsens.v1 import locsens_pb2 as pb
from interplay.rpc.locsens.v1 import locsens_pb2_grpc as pb_grpc
from interplay.rpc.status import status_from_error
from interplay.settings import MAX_MESSAGE_BYTES
from tests.fake_embedding import FakeEmbedding

CAPABILITY = get_capability("locsens")
TIMINGS = common_pb2.Timings(queue_ns=1_000_000, infer_ns=4_000_000, batch_size=2)
MODELS = {
    name: common_pb2.ModelInfo(name=f"fake-{name}", version="1", digest="sha256:" + "f" * 64)
    for name in ("image", "tagging", "retrieval")
}
# Of the vocabulary, as the image alone ranks them; with a place the other way round.
TAGS = ("beach", "beachhouse", "sea", "bridge", "barcelona")


class FakeLocSens(pb_grpc.LocSensServiceServicer, models_pb2_grpc.ModelServiceServicer):
    """The service, and the server it runs in.

    Attributes:
        error: Raised by every call, if set.
        requests: Requests that came in, oldest first.
        hits: What is found in the index ``photos``.
        indexes: Keeps its indexes.
    """

    def __init__(self) -> None:
        self.port = 0
        self._server: grpc.Server | None = None
        self.indexes = FakeEmbedding(CAPABILITY)
        self.reset()

    def reset(self) -> None:
        """Forget what earlier tests did."""
        self.error: InterplayError | None = None
        self.requests: list[Any] = []
        self.hits: list[pb.RetrievedImage] = []
        self.indexes.reset()

    def start(self) -> None:
        """Start serving, on a free port the first time, which stays the same over restarts."""
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        pb_grpc.add_LocSensServiceServicer_to_server(self, self._server)
        index_pb2_grpc.add_IndexServiceServicer_to_server(self.indexes, self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        status = health.HealthServicer()
        status.set(CAPABILITY.grpc_service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(status, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Stop at once; calls in progress break."""
        if self._server:
            self._server.stop(None).wait()
            self._server = None

    def Tag(self, request: Any, context: Any) -> Any:
        """The vocabulary; at a place in reverse."""
        self._enter(request, context)
        place, source = None, pb.PLACE_SOURCE_UNSPECIFIED
        if request.HasField("place"):
            place, source = request.place, pb.PLACE_SOURCE_REQUEST
        elif request.photo_place:
            found = photo_place(request.image.content)
            if found is None:
                error = InvalidParameter("the photo does not say where it was taken", field="photo_place")
                self._fail(error, context)
            place = common_pb2.LatLng(latitude=found[0], longitude=found[1])
            source = pb.PLACE_SOURCE_PHOTO
        alone = [pb.TagScore(tag=tag, score=0.5 - number / 10) for number, tag in enumerate(TAGS)]
        if place is None:
            return pb.TagResponse(
                tags=alone[: request.limit], scored=0, model=MODELS["image"], timings=TIMINGS
            )
        there = [
            pb.TagScore(tag=tag, score=4.5 - rank, rank_without_place=len(TAGS) - rank)
            for rank, tag in enumerate(reversed(TAGS))
        ]
        return pb.TagResponse(
            tags=there[: request.limit],
            without_place=alone[: request.limit],
            place=place,
            source=source,
            scored=len(TAGS),
            model=MODELS["tagging"],
            timings=TIMINGS,
        )

    def Retrieve(self, request: Any, context: Any) -> Any:
        """The index's hits, as many as asked for."""
        self._enter(request, context)
        if request.index != "photos":
            self._fail(NotFound(f"no index {request.index!r}; there are: photos"), context)
        unknown = [tag for tag in request.tags if tag not in TAGS]
        if unknown:
            self._fail(InvalidParameter(f"{unknown[0]!r} is no tag of the vocabulary", field="tags"), context)
        return pb.RetrieveResponse(
            hits=self.hits[: request.limit],
            scored=len(self.hits),
            exact=request.mode == pb.MODE_EXACT,
            model=MODELS["retrieval"],
            timings=TIMINGS,
        )

    def Score(self, request: Any, context: Any) -> Any:
        """Latitude of each triplet's place."""
        self._enter(request, context)
        scores = [triplet.place.latitude for triplet in request.triplets]
        name = "retrieval" if request.task == pb.TASK_RETRIEVAL else "tagging"
        return pb.ScoreResponse(scores=scores, model=MODELS[name], timings=TIMINGS)

    def ListTags(self, request: Any, context: Any) -> Any:
        """Those of the prefix, each with fewer photos than the one before."""
        self._enter(request, context)
        known = [
            pb.KnownTag(tag=tag, photos=100 - number)
            for number, tag in enumerate(TAGS)
            if tag.startswith(request.prefix)
        ]
        return pb.ListTagsResponse(tags=known[: request.limit], total=len(known))

    def ListModels(self, request: Any, context: Any) -> Any:
        """The three models."""
        models = [models_pb2.ServedModel(info=info, capability=CAPABILITY.name) for info in MODELS.values()]
        return models_pb2.ListModelsResponse(models=models)

    def _enter(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        if self.error is not None:
            self._fail(self.error, context)

    def _fail(self, error: InterplayError, context: Any) -> None:
        context.abort_with_status(rpc_status.to_status(status_from_error(error)))
