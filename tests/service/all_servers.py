"""A model server of every capability on the real model store, and questions that use all its models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from interplay.capabilities import CAPABILITIES, Capability, get_capability
from interplay.launcher.ports import free_port
from interplay.media.images import encode_png
from interplay.rpc.common.v1 import common_pb2, index_pb2
from interplay.rpc.embedding.v1 import analysis_pb2, analysis_pb2_grpc, embedding_pb2
from interplay.rpc.hate_classifier.v1 import hate_classifier_pb2
from interplay.rpc.locsens.v1 import locsens_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2
from interplay.rpc.text_detection.v1 import text_detection_pb2
from interplay.settings import REPOSITORY_ROOT
from tests.service.open_questions import ask_every_model
from tests.service.server_process import ServerProcess

STORE = REPOSITORY_ROOT / "model_store"
PLACE = common_pb2.LatLng(latitude=41.38, longitude=2.17)


def sign(text: str = "EXIT", width: int = 320, height: int = 128) -> np.ndarray:
    """(H, W, 3) uint8: a word on a coloured wall."""
    picture = PillowImage.new("RGB", (width, height), (120, 60, 40))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((30, 30, width - 30, height - 30), fill=(240, 240, 230))
    pen.text((width // 2, height // 2), text, (10, 10, 60), ImageFont.load_default(48), anchor="mm")
    return np.asarray(picture)


NO_IMAGE = common_pb2.Image(content=b"GIF89a, and no more")


def image(text: str = "EXIT", width: int = 320) -> common_pb2.Image:
    return common_pb2.Image(content=encode_png(sign(text, width)))


class AllServers:
    """``python -m services.<capability>`` for every capability.

    Args:
        folder: For logs and indexes.
        settings: Further settings of all.
    """

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self._processes: dict[str, ServerProcess] = {}
        detection = json.dumps({"text_detection": f"127.0.0.1:{free_port()}"})
        for capability in CAPABILITIES:
            state = folder / capability.name
            state.mkdir(parents=True)
            process = ServerProcess(
                capability, state, STORE, 100, state_dir=state, capability_addresses=detection, **settings
            )
            self._processes[capability.name] = process
            if capability.name == "text_detection":
                detection = json.dumps({"text_detection": f"127.0.0.1:{process.port}"})

    def __getitem__(self, capability: str) -> ServerProcess:
        return self._processes[capability]

    def wait_until_serving(self) -> None:
        for process in self._processes.values():
            process.wait_until_serving()

    def end(self) -> list[int]:
        """Exit status of each."""
        with ThreadPoolExecutor(len(self._processes)) as pool:
            return list(pool.map(ServerProcess.end, self._processes.values()))

    @property
    def addresses(self) -> dict[str, str]:
        return {name: f"127.0.0.1:{process.port}" for name, process in self._processes.items()}


def ask_text_detection(server: ServerProcess) -> Iterator[Any]:
    stub, pb = server.client.stub, text_detection_pb2
    yield server.client.call(stub.Segment, pb.SegmentRequest(image=image(), format=pb.HEATMAP_FORMAT_FLOAT16))
    yield server.client.call(stub.Detect, pb.DetectRequest(image=image("SHOP")))
    yield server.client.call(stub.Read, pb.ReadRequest(image=image("HELLO")))
    yield server.client.call(stub.Presence, pb.PresenceRequest(image=image()))
    bulk = [  # of different sizes: each is alone in its batch
        pb.ProcessBulkRequest(id="a", presence=pb.PresenceRequest(image=image("OPEN", 400))),
        pb.ProcessBulkRequest(id="b", read=pb.ReadRequest(image=image("HARBOUR", 480))),
        pb.ProcessBulkRequest(id="c", detect=pb.DetectRequest(image=NO_IMAGE)),
    ]
    yield from sorted(stub.ProcessBulk(iter(bulk), timeout=100), key=lambda answer: answer.id)


def ask_style_transfer(server: ServerProcess) -> Iterator[Any]:
    stub, pb = server.client.stub, style_transfer_pb2
    listed = server.client.call(stub.ListStyles, pb.ListStylesRequest())  # a word in each style of each model
    yield listed

    def mix(name: str) -> style_transfer_pb2.StyleMix:
        return pb.StyleMix(parts=[pb.StyleWeight(style=name, weight=1.0)])

    both = next(style.name for style in listed.styles if style.end_to_end)
    for mode in (pb.STYLE_MODE_WHOLE, pb.STYLE_MODE_SELECTIVE, pb.STYLE_MODE_END_TO_END):
        request = pb.StylizeRequest(image=image(), mixes=[mix(both)], mode=mode)
        yield server.client.call(stub.Stylize, request)
    # Without a style: the perceptual network finds the nearest.
    yield server.client.call(stub.RenderText, pb.RenderTextRequest(image=image(), text="OPEN"))


def ask_embedding(server: ServerProcess) -> Iterator[Any]:
    stub, pb = server.client.stub, embedding_pb2
    texts = [pb.Text(content=text) for text in ("red sky over the sea", "zzzz")]
    yield server.client.call(stub.EmbedText, pb.EmbedTextRequest(texts=texts))
    for one in (
        image(),
        image("SHOP", 480),
    ):  # one a call: alone in its batch, a number is the same each time
        yield server.client.call(stub.EmbedImage, pb.EmbedImageRequest(images=[one]))
    bulk = [
        pb.EmbedBulkRequest(id="a", image=image("OPEN", 400)),
        pb.EmbedBulkRequest(id="b", text=texts[0]),
        pb.EmbedBulkRequest(id="c", image=NO_IMAGE),
    ]
    yield from sorted(stub.EmbedBulk(iter(bulk), timeout=100), key=lambda answer: answer.id)
    indexes = server.client.indexes
    server.client.call(indexes.CreateIndex, index_pb2.CreateIndexRequest(name="walls"))
    entry = index_pb2.NewEntry(entry=index_pb2.Entry(id="exit"), image=image())
    server.client.call(indexes.Upsert, index_pb2.UpsertRequest(index="walls", entries=[entry]))
    query = [pb.QueryPart(text=texts[0], weight=1.0), pb.QueryPart(image=image("SHOP", 480), weight=0.5)]
    yield server.client.call(stub.Search, pb.SearchRequest(index="walls", query=query))
    server.client.call(indexes.DropIndex, index_pb2.DropIndexRequest(name="walls"))
    inside = analysis_pb2_grpc.EmbeddingAnalysisServiceStub(server.client.channel)
    request = analysis_pb2.ActivationsRequest(images=[image()], units=[0, 7])
    yield server.client.call(inside.Activations, request)
    dream = analysis_pb2.DreamRequest(
        image=image(), text=pb.Text(content="sea"), side=160, octaves=1, steps=2, until=2
    )
    yield from inside.Dream(dream, timeout=60)


def ask_locsens(server: ServerProcess) -> Iterator[Any]:
    stub, pb = server.client.stub, locsens_pb2
    for mode in (pb.MODE_FAST, pb.MODE_EXACT):
        yield server.client.call(stub.Tag, pb.TagRequest(image=image(), place=PLACE, mode=mode))
    tags = [known.tag for known in server.client.call(stub.ListTags, pb.ListTagsRequest(limit=4)).tags]
    triplets = [pb.Triplet(image=n % 2, tag=tag, place=PLACE) for n, tag in enumerate(tags)]
    for task in (pb.TASK_TAGGING, pb.TASK_RETRIEVAL):
        request = pb.ScoreRequest(images=[image(), image("SHOP")], triplets=triplets, task=task)
        yield server.client.call(stub.Score, request)
    indexes = server.client.indexes
    server.client.call(indexes.CreateIndex, index_pb2.CreateIndexRequest(name="walls"))
    entries = [
        index_pb2.NewEntry(entry=index_pb2.Entry(id=f"w{n}", place=PLACE), image=image(f"W{n}"))
        for n in range(8)
    ]
    server.client.call(indexes.Upsert, index_pb2.UpsertRequest(index="walls", entries=entries))
    for mode in (pb.MODE_FAST, pb.MODE_EXACT):
        request = pb.RetrieveRequest(index="walls", tags=tags[:2], place=PLACE, mode=mode)
        yield server.client.call(stub.Retrieve, request)
    server.client.call(indexes.DropIndex, index_pb2.DropIndexRequest(name="walls"))


def ask_hate_classifier(server: ServerProcess) -> Iterator[Any]:
    stub, pb = server.client.stub, hate_classifier_pb2
    posts = (
        pb.Post(text="What a lovely day \U0001f600", words=True),
        pb.Post(text="look at this", image=image(), image_text="EXIT", region=True),
        pb.Post(image=image("SHOP"), skip_reading=True),
        pb.Post(text=" "),
    )
    for post in posts:  # one a call: alone in its batch, a number is the same each time
        yield server.client.call(stub.Classify, pb.ClassifyRequest(posts=[post]))


ASK: dict[str, Callable[[ServerProcess], Iterator[Any]]] = {
    "text_detection": ask_text_detection,
    "style_transfer": ask_style_transfer,
    "embedding": ask_embedding,
    "locsens": ask_locsens,
    "hate_classifier": ask_hate_classifier,
}


def answers(servers: AllServers, capability: Capability | str) -> list[Any]:
    """Answers of a server to its typed questions and those of the Open Inference Protocol, without times."""
    name = capability if isinstance(capability, str) else get_capability(capability.name).name
    found = [*ASK[name](servers[name]), *ask_every_model(servers[name], sign())]
    for message in found:
        without_times(message)
    return found


def without_times(message: Any) -> None:
    """Clear the times of a message and of those in it, which differ from call to call."""
    if "timings" in message.DESCRIPTOR.fields_by_name:
        message.ClearField("timings")
    for field, value in message.ListFields():
        if field.message_type is not None and not field.is_repeated:
            without_times(value)
