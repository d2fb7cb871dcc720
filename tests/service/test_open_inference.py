"""The Open Inference Protocol of every capability, asked by ``tritonclient``.

gRPC at the model servers, REST at the gateway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from gateway.settings import GatewaySettings
from interplay import __version__
from interplay.capabilities import CAPABILITIES
from interplay.media.images import encode_png
from interplay.predictors.hate_classifier.answers import PostItem
from interplay.predictors.locsens.scorer import TripletItem
from interplay.predictors.style_transfer.stylist import StyleItem
from interplay.predictors.text_detection.reader import WordReader
from interplay.served import Source, open_predictor
from interplay.store import resolve
from tests.conftest import ValkeyProcess
from tests.service.all_servers import STORE, AllServers, sign
from tests.service.runtimes import RUNTIMES, running
from tests.service.triton_calls import describe, infer, triton
from tests.unit.gateway.harness import BackgroundLoop, RunningGateway

# A server for each capability, and TorchServe's worker for each model: all load torch.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PICTURES = np.stack([sign("EXIT"), sign("SHOP")])
CROP = np.ascontiguousarray(sign("HELLO")[36:92, 60:260])
# Model → the capability whose server has it.
MODELS = {name: capability.name for capability in CAPABILITIES for name in capability.models} | {
    "ppocrv4-rec": "text_detection",
    "perceptual-vgg19": "style_transfer",
}
Inputs = dict[str, tuple[str, np.ndarray]]
Ask = Callable[..., Any]


@pytest.fixture(scope="module", params=RUNTIMES)
def servers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllServers]:
    """All servers, once with each runtime."""
    folder = tmp_path_factory.mktemp("servers")
    with running(request.param, STORE, folder / "ts") as settings:
        servers = AllServers(folder, **settings)
        servers.wait_until_serving()
        yield servers
        assert set(servers.end()) == {0}


@pytest.fixture(scope="module")
def gateway(
    servers: AllServers, shared_valkey: ValkeyProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningGateway]:
    loop = BackgroundLoop()
    settings = GatewaySettings(
        capability_addresses=servers.addresses,
        redis_url=shared_valkey.url,
        state_dir=tmp_path_factory.mktemp("state"),
    )
    gateway = RunningGateway(loop, settings)
    yield gateway
    gateway.close()
    loop.close()


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    with triton() as run:
        yield run


@pytest.fixture(params=["grpc", "http"])
def where(
    request: pytest.FixtureRequest, servers: AllServers, gateway: RunningGateway
) -> Callable[[str], Any]:
    """Protocol and address for a model."""
    if request.param == "http":
        return lambda model: ("http", f"127.0.0.1:{gateway.port}")
    return lambda model: ("grpc", servers.addresses[MODELS[model]])


def encoded(pictures: np.ndarray) -> Inputs:
    """The pictures as files."""
    return {"image": ("BYTES", np.array([encode_png(p) for p in pictures], dtype=object))}


def raw(pictures: np.ndarray) -> Inputs:
    """The pictures as numbers."""
    return {"pixels": ("UINT8", pictures)}


def triplets(rows: int = 3) -> tuple[TripletItem, Inputs]:
    vectors = np.random.default_rng(0).normal(size=(rows, 128)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    tags, places = np.arange(rows), np.tile([41.38, 2.17], (rows, 1))
    inputs: Inputs = {"vector": ("FP32", vectors), "tag": ("INT64", tags), "place": ("FP64", places)}
    return TripletItem(vectors, tags, places), inputs


def style_weights(model: str) -> np.ndarray:
    weights = np.zeros((1, len(resolve(STORE, model).manifest.labels)), np.float32)
    weights[0, 1] = 1.0
    return weights


def predicted(model: str, items: Any) -> list[Any]:
    predictor = open_predictor(Source(STORE, model, device="cpu", threads=1))
    return list(predictor.predict_batch(items).results)


@pytest.mark.parametrize("images", [encoded, raw], ids=["files", "numbers"])
def test_text_detection(ask: Ask, where: Any, images: Callable[[np.ndarray], Inputs]) -> None:
    found = ask(infer, *where("textfcn-compact"), "textfcn-compact", images(PICTURES), request_id="7")
    wanted = predicted("textfcn-compact", list(PICTURES))
    np.testing.assert_allclose(found["text"], [heatmap.text for heatmap in wanted], atol=0.02)
    np.testing.assert_allclose(found["core"], [heatmap.core for heatmap in wanted], atol=0.02)
    read = ask(infer, *where("ppocrv4-rec"), "ppocrv4-rec", images(CROP[None]))
    ((text, confidence),) = WordReader(threads=1).predict_batch([CROP]).results
    assert read["text"].tolist() == [text.encode()] and text
    np.testing.assert_allclose(read["confidence"], [confidence], atol=1e-4)


@pytest.mark.parametrize("model", [m for m, c in MODELS.items() if m.startswith("style-")])
def test_style_transfer(ask: Ask, where: Any, model: str) -> None:
    weights = style_weights(model)
    inputs = raw(PICTURES[:1]) | {"weights": ("FP32", weights)}
    found = ask(infer, *where(model), model, inputs)
    (wanted,) = predicted(model, [StyleItem(PICTURES[0], weights[0])])
    assert found["pixels"].shape == PICTURES[:1].shape and found["pixels"].dtype == np.uint8
    np.testing.assert_array_equal(found["pixels"][0], wanted)


def test_the_perceptual_network(ask: Ask, where: Any) -> None:
    found = ask(infer, *where("perceptual-vgg19"), "perceptual-vgg19", encoded(PICTURES))
    wanted = predicted("perceptual-vgg19", list(PICTURES))
    np.testing.assert_allclose(found["vector"], wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("images", [encoded, raw], ids=["files", "numbers"])
def test_embedding(ask: Ask, where: Any, images: Callable[[np.ndarray], Inputs]) -> None:
    model = "embedding-image"
    found = ask(infer, *where(model), model, images(PICTURES), outputs=("vector",))
    wanted = [image.vector for image in predicted(model, list(PICTURES))]
    np.testing.assert_allclose(found["vector"], wanted, atol=0.02)
    texts = np.array([b"red sky", b"cel roig"], dtype=object)
    inputs: Inputs = {
        "text": ("BYTES", texts),
        "language": ("BYTES", np.array([b"", b"ca"], dtype=object)),
    }
    words = ask(infer, *where("embedding-words"), "embedding-words", inputs)["vector"]
    np.testing.assert_allclose(np.linalg.norm(words, axis=1), 1.0, atol=1e-5)


def test_locsens(ask: Ask, where: Any) -> None:
    found = ask(infer, *where("locsens-image"), "locsens-image", encoded(PICTURES))
    wanted = predicted("locsens-image", list(PICTURES))
    np.testing.assert_allclose(found["vector"], [image.vector for image in wanted], atol=0.02)
    np.testing.assert_allclose(found["chances"].sum(axis=1), 1.0, atol=1e-3)
    item, inputs = triplets()
    for model in ("locsens-retrieval", "locsens-tagging"):
        scores = ask(infer, *where(model), model, inputs)["score"]
        np.testing.assert_allclose(scores, predicted(model, [item])[0], rtol=1e-4, atol=1e-4)


def test_hate_classifier(ask: Ask, where: Any) -> None:
    model = "hate-classifier"
    inputs: Inputs = {
        "text": ("BYTES", np.array(["What a lovely day ☀".encode(), b""], dtype=object)),
        "image_text": ("BYTES", np.array([b"", b"EXIT"], dtype=object)),
        "image": ("BYTES", np.array([b"", encode_png(PICTURES[0])], dtype=object)),
    }
    found = ask(infer, *where(model), model, inputs)
    items = [PostItem(text="What a lovely day ☀"), PostItem(image_text="EXIT", image=PICTURES[0])]
    wanted = predicted(model, items)
    np.testing.assert_allclose(found["probability"], [a.probability for a in wanted], atol=0.01)
    low, high = found["interval"].T
    assert (low <= found["probability"]).all() and (found["probability"] <= high).all()
    np.testing.assert_allclose(found["categories"].sum(axis=1), found["probability"], atol=1e-5)
    assert found["contributions"][0, 0] != 0 and not found["contributions"][0, 1:].any()
    assert found["contributions"][1, 0] == 0 and found["contributions"][1, 1:].all()


@pytest.mark.parametrize("model", sorted(MODELS))
def test_metadata_names_every_tensor(ask: Ask, where: Any, model: str) -> None:
    protocol, target = where(model)
    found = ask(describe, protocol, target, model)
    assert (found["live"], found["ready"], found["model_ready"]) == (True, True, True)
    assert (found["server"]["name"], found["server"]["version"]) == ("interplay", __version__)
    assert found["model"]["name"] == model and len(found["model"]["versions"]) == 1
    assert found["model"]["inputs"] and found["model"]["outputs"]
    assert found["other_ready"] is False or "no model 'no-such-model'" in found["other_ready"]
    # The page that people read names the same.
    page = (STORE.parent / "docs" / "serving.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("|") and f"`{model}`" in line)
    for tensor in (*found["model"]["inputs"], *found["model"]["outputs"]):
        assert f"`{tensor['name']}` {tensor['datatype']}" in row, tensor


def test_json_and_bytes_say_the_same(ask: Ask, gateway: RunningGateway) -> None:
    target = f"127.0.0.1:{gateway.port}"
    _, inputs = triplets()
    as_bytes, as_json = (
        ask(infer, "http", target, "locsens-tagging", inputs, outputs=("score",), binary=binary)["score"]
        for binary in (True, False)
    )
    np.testing.assert_array_equal(as_bytes, as_json)


@pytest.mark.parametrize(
    ("model", "inputs", "options", "status", "message"),
    [
        ("embedding-image", raw(PICTURES), {"version": "99"}, "NOT_FOUND", "version 99"),
        ("embedding-image", {}, {}, "INVALID_ARGUMENT", "one of the two"),
        ("embedding-image", encoded(PICTURES) | raw(PICTURES), {}, "INVALID_ARGUMENT", "one of the two"),
        ("embedding-image", raw(PICTURES), {"outputs": ("depth",)}, "INVALID_ARGUMENT", "there are: vector"),
        ("embedding-image", {"pixels": ("FP32", PICTURES.astype("f4"))}, {}, "INVALID_ARGUMENT", "UINT8"),
        ("embedding-image", raw(PICTURES[..., :2].copy()), {}, "INVALID_ARGUMENT", "[-1, -1, -1, 3]"),
        (
            "embedding-image",
            {"image": ("BYTES", np.array([b"GIF89a"], dtype=object))},
            {},
            "INVALID_ARGUMENT",
            "accepted are JPEG, PNG and WebP",
        ),
        (
            "embedding-words",
            {"words": ("INT64", np.zeros(1, "i8"))},
            {},
            "INVALID_ARGUMENT",
            "there are: text",
        ),
        (
            "style-scene",
            raw(PICTURES[:1]) | {"weights": ("FP32", 0.1 * style_weights("style-scene"))},
            {},
            "INVALID_ARGUMENT",
            "sum to 1",
        ),
        (
            "locsens-tagging",
            triplets()[1] | {"tag": ("INT64", -np.ones(3, "i8"))},
            {},
            "INVALID_ARGUMENT",
            "a number outside 0 to",
        ),
    ],
)
def test_errors_say_what_is_wrong(
    ask: Ask,
    where: Any,
    model: str,
    inputs: Inputs,
    options: dict[str, Any],
    status: str,
    message: str,
) -> None:
    protocol, target = where(model)
    error = ask(infer, protocol, target, model, inputs, **options)
    assert isinstance(error, str) and message in error, error
    if protocol == "grpc":
        assert error.startswith(f"StatusCode.{status}:")
    else:
        assert error.startswith("404:" if status == "NOT_FOUND" else ("400:", "415:", "422:"))


def test_an_unknown_model_is_not_found(ask: Ask, servers: AllServers, gateway: RunningGateway) -> None:
    error = ask(infer, "grpc", servers.addresses["embedding"], "nothing", raw(PICTURES))
    assert error.startswith("StatusCode.NOT_FOUND") and "embedding-image, embedding-words" in error
    error = ask(infer, "http", f"127.0.0.1:{gateway.port}", "nothing", raw(PICTURES))
    assert error.startswith("404") and "no model 'nothing' is served" in error
