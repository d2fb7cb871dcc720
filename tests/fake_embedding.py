"""An embedding server for tests: the real contract over real gRPC, canned vectors, indexes in a dict."""

from __future__ import annotations

import time
from concurrent import futures
from datetime import UTC, datetime
from typing import Any

import grpc
import numpy as np
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from interplay.capabilities import Capability, get_capability
from interplay.errors import Conflict, InterplayError, NotFound, UnreadableImage
from interplay.rpc.common.v1 import common_pb2, index_pb2, index_pb2_grpc, models_pb2, models_pb2_grpc
from interplay.rpc.embedding.v1 import embedding_pb2 as pb
from interplay.rpc.embedding.v1 import embedding_pb2_grpc as pb_grpc
from interplay.rpc.status import item_error, status_from_error
from interplay.settings import MAX_MESSAGE_BYTES

CAPABILITY = get_capability("embedding")
DIMENSION = 4
CREATED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
TIMINGS = common_pb2.Timings(queue_ns=1_000_000, infer_ns=4_000_000, batch_size=2)
WORDS_MODEL = common_pb2.ModelInfo(name="fake-words", version="2", digest="sha256:" + "d" * 64)
IMAGE_MODEL = common_pb2.ModelInfo(name="fake-image", version="2", digest="sha256:" + "e" * 64)
# Shorter "images" than this are broken.
LEAST_BYTES = 20


class FakeEmbedding(
    pb_grpc.EmbeddingServiceServicer,
    index_pb2_grpc.IndexServiceServicer,
    models_pb2_grpc.ModelServiceServicer,
):
    """The services, and the server they run in.

    Args:
        capability: What its health is asked for.

    Attributes:
        error: Raised by every call, if set.
        requests: Requests that came in, oldest first.
        indexes: Entries by index name and id.
        snapshots: Files by index name and id.
        restored: What was to be restored, with the file that came.
        refuses_heads: Restores are refused before all of the file came.
    """

    def __init__(self, capability: Capability = CAPABILITY) -> None:
        self.port = 0
        self._capability = capability
        self._server: grpc.Server | None = None
        self.reset()

    def reset(self) -> None:
        """Forget what earlier tests did."""
        self.error: InterplayError | None = None
        self.requests: list[Any] = []
        self.indexes: dict[str, dict[str, index_pb2.Entry]] = {"photos": {}}
        self.snapshots: dict[str, dict[str, bytes]] = {"photos": {}}
        self.restored: list[tuple[index_pb2.Restore, bytes]] = []
        self.refuses_heads = False

    def start(self) -> None:
        """Start serving, on a free port the first time, which stays the same over restarts."""
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
        self._server = grpc.server(futures.ThreadPoolExecutor(4), options=options)
        pb_grpc.add_EmbeddingServiceServicer_to_server(self, self._server)
        index_pb2_grpc.add_IndexServiceServicer_to_server(self, self._server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(self, self._server)
        status = health.HealthServicer()
        status.set(self._capability.grpc_service, health_pb2.HealthCheckResponse.SERVING)
        health_pb2_grpc.add_HealthServicer_to_server(status, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{self.port}")
        self._server.start()

    def stop(self) -> None:
        """Stop at once; calls in progress break."""
        if self._server:
            self._server.stop(None).wait()
            self._server = None

    def EmbedText(self, request: Any, context: Any) -> Any:
        """The number of a text's letters on the first axis; "zzz" is unknown."""
        self._enter(request, context)
        return pb.EmbedTextResponse(
            vectors=[_vector(len(text.content)) for text in request.texts],
            understood=[_understood(text.content) for text in request.texts],
            model=WORDS_MODEL,
        )

    def EmbedImage(self, request: Any, context: Any) -> Any:
        """A vector on the second axis; short contents are broken."""
        self._enter(request, context)
        results = []
        for image in request.images:
            if len(image.content) < LEAST_BYTES:
                results.append(pb.ImageResult(error=item_error(UnreadableImage("broken"))))
            else:
                results.append(pb.ImageResult(vector=_vector(0, 1)))
        return pb.EmbedImageResponse(results=results, model=IMAGE_MODEL, timings=TIMINGS)

    def Search(self, request: Any, context: Any) -> Any:
        """The index's entries in order of their ids, as many as asked for."""
        self._enter(request, context)
        entries = sorted(self._index(request.index, context).items())
        first = int(request.page_token or 0)
        hits = []
        for number, (_, entry) in enumerate(entries[first : first + request.limit]):
            hit = pb.Hit(entry=entry, score=0.9 - number / 10)
            if all(part.WhichOneof("content") == "text" for part in request.query):
                hit.probability = 0.75
            hits.append(hit)
        more = first + request.limit < len(entries)
        return pb.SearchResponse(
            hits=hits,
            next_page_token=str(first + request.limit) if more else "",
            understood=[_understood(part.text.content) for part in request.query],
            candidates=len(entries),
            exact=True,
            model=WORDS_MODEL,
            timings=TIMINGS,
        )

    def Upsert(self, request: Any, context: Any) -> Any:
        """Keep the entries; those with short images are refused."""
        self._enter(request, context)
        index = self._index(request.index, context)
        results = []
        for new in request.entries:
            result = index_pb2.UpsertResult(id=new.entry.id)
            if new.WhichOneof("content") == "image" and len(new.image.content) < LEAST_BYTES:
                result.error.CopyFrom(item_error(UnreadableImage("broken")))
            else:
                index[new.entry.id] = new.entry
            results.append(result)
        return index_pb2.UpsertResponse(results=results, timings=TIMINGS)

    def GetEntries(self, request: Any, context: Any) -> Any:
        """Entries by id."""
        self._enter(request, context)
        index = self._index(request.index, context)
        return index_pb2.GetEntriesResponse(entries=[index[name] for name in request.ids if name in index])

    def Delete(self, request: Any, context: Any) -> Any:
        """Forget entries."""
        self._enter(request, context)
        index = self._index(request.index, context)
        return index_pb2.DeleteResponse(
            deleted=sum(index.pop(name, None) is not None for name in request.ids)
        )

    def ListIndexes(self, request: Any, context: Any) -> Any:
        """All indexes."""
        self._enter(request, context)
        return index_pb2.ListIndexesResponse(indexes=[self._listed(name) for name in self.indexes])

    def ListLanguages(self, request: Any, context: Any) -> Any:
        """One."""
        self._enter(request, context)
        return pb.ListLanguagesResponse(languages=["es"])

    def CreateIndex(self, request: Any, context: Any) -> Any:
        """An empty one."""
        self._enter(request, context)
        if request.name in self.indexes:
            self._fail(Conflict(f"there is an index {request.name!r} already"), context)
        self.indexes[request.name] = {}
        return index_pb2.CreateIndexResponse(index=self._listed(request.name))

    def DropIndex(self, request: Any, context: Any) -> Any:
        """Forget one."""
        self._enter(request, context)
        self._index(request.name, context)
        del self.indexes[request.name]
        return index_pb2.DropIndexResponse()

    def CreateSnapshot(self, request: Any, context: Any) -> Any:
        """A file of 3 MB."""
        self._enter(request, context)
        self._index(request.index, context)
        kept = self.snapshots.setdefault(request.index, {})
        kept[f"s{len(kept)}"] = bytes(range(256)) * 12_000
        return index_pb2.CreateSnapshotResponse(
            snapshot=self._snapshot(request.index, f"s{len(kept) - 1}", context)
        )

    def ListSnapshots(self, request: Any, context: Any) -> Any:
        """All of an index, newest first."""
        self._enter(request, context)
        ids = reversed(self.snapshots.get(request.index, {}))
        return index_pb2.ListSnapshotsResponse(
            snapshots=[self._snapshot(request.index, i, context) for i in ids]
        )

    def DownloadSnapshot(self, request: Any, context: Any) -> Any:
        """The file, in pieces."""
        self._enter(request, context)
        yield index_pb2.DownloadSnapshotResponse(snapshot=self._snapshot(request.index, request.id, context))
        content = self.snapshots[request.index][request.id]
        for start in range(0, len(content), 1 << 20):
            yield index_pb2.DownloadSnapshotResponse(chunk=content[start : start + (1 << 20)])

    def DeleteSnapshot(self, request: Any, context: Any) -> Any:
        """Forget one."""
        self._enter(request, context)
        self._snapshot(request.index, request.id, context)
        del self.snapshots[request.index][request.id]
        return index_pb2.DeleteSnapshotResponse()

    def RestoreIndex(self, requests: Any, context: Any) -> Any:
        """An empty index."""
        first = next(requests)
        target, content = first.restore, bytearray(first.chunk)
        self._enter(target, context)
        if target.id:
            self._snapshot(target.of or target.index, target.id, context)
        if self.refuses_heads:
            self._fail(Conflict("the snapshot is of another model"), context)
        yield index_pb2.RestoreIndexResponse(accepted=index_pb2.RestoreAccepted())
        for request in requests:
            content += request.chunk
        time.sleep(0.1)  # a call that breaks off ends its requests, too, and says so a little later
        if not context.is_active():
            return
        self.restored.append((target, bytes(content)))
        self.indexes.setdefault(target.index, {})
        yield index_pb2.RestoreIndexResponse(index=self._listed(target.index))

    def ListModels(self, request: Any, context: Any) -> Any:
        """The two models."""
        models = [
            models_pb2.ServedModel(info=info, capability=CAPABILITY.name)
            for info in (IMAGE_MODEL, WORDS_MODEL)
        ]
        return models_pb2.ListModelsResponse(models=models)

    def _enter(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        if self.error is not None:
            self._fail(self.error, context)

    def _fail(self, error: InterplayError, context: Any) -> None:
        context.abort_with_status(rpc_status.to_status(status_from_error(error)))

    def _index(self, name: str, context: Any) -> dict[str, index_pb2.Entry]:
        if name not in self.indexes:
            self._fail(NotFound(f"no index {name!r}; there are: {', '.join(self.indexes)}"), context)
        return self.indexes[name]

    def _snapshot(self, name: str, snapshot: str, context: Any) -> index_pb2.Snapshot:
        if snapshot not in self.snapshots.get(name, {}):
            self._fail(NotFound(f"no snapshot {snapshot!r} of index {name!r}"), context)
        made = index_pb2.Snapshot(
            index=name, id=snapshot, entries=7, bytes=len(self.snapshots[name][snapshot]), dimension=DIMENSION
        )
        made.created.FromDatetime(CREATED)
        return made

    def _listed(self, name: str) -> index_pb2.Index:
        created = Timestamp()
        created.FromDatetime(CREATED)
        return index_pb2.Index(
            name=name,
            generation="g1",
            entries=len(self.indexes[name]),
            dimension=DIMENSION,
            space=WORDS_MODEL.digest,
            created=created,
        )


def _vector(*values: float) -> index_pb2.Vector:
    numbers = np.zeros(DIMENSION, dtype="<f4")
    numbers[: len(values)] = values
    return index_pb2.Vector(values=numbers.tobytes())


def _understood(text: str) -> pb.Understood:
    words = text.split()
    return pb.Understood(
        words=[word for word in words if word != "zzz"], unknown=[word for word in words if word == "zzz"]
    )
