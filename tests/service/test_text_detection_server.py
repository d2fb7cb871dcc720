"""The text detection server as a process: every method, every refusal, health, metrics, logs, ends."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from interplay import errors
from interplay.rpc.common.v1 import common_pb2, models_pb2
from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from interplay.settings import MAX_IMAGE_BYTES
from interplay.store import StoredModel
from interplay.telemetry.context import set_request_id
from tests.conftest import REPOSITORY_ROOT, wait_until
from tests.service.runtimes import RUNTIMES, running
from tests.service.text_detection_process import CAPABILITY, TextDetectionProcess, publish_random_model

# A server takes a few seconds to start, and many on a busy machine.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

MODEL = CAPABILITY.models[0]
READER = "ppocrv4-rec"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    scratch = tmp_path_factory.mktemp("model")
    return publish_random_model(scratch / "store", scratch)


@pytest.fixture(scope="module", params=RUNTIMES)
def server(
    model: StoredModel, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TextDetectionProcess]:
    """One server for the module, once with each runtime; tests of endings start their own."""
    store, folder = model.directory.parents[1], tmp_path_factory.mktemp("server")
    with running(request.param, store, folder / "ts", "text_detection") as settings:
        process = TextDetectionProcess(folder, store, **settings)
        process.wait_until_serving()
        yield process
        process.end()


def jpeg(picture: PillowImage.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="JPEG", quality=95, **options)
    return buffer.getvalue()


def street(width: int = 200, height: int = 120, seed: int = 0) -> PillowImage.Image:
    """Noise in large patches: enough for a random network to have opinions."""
    rng = np.random.default_rng(seed)
    patches = rng.integers(0, 255, (height // 20 + 1, width // 20 + 1, 3), dtype=np.uint8)
    return PillowImage.fromarray(patches).resize((width, height), PillowImage.Resampling.NEAREST)


def sign() -> tuple[PillowImage.Image, list[common_pb2.Polygon]]:
    """A picture with two words in two lines, and where they are; the lower one comes first."""
    picture = PillowImage.new("RGB", (420, 220), (20, 60, 120))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=56)
    polygons = []
    for text, x, y in (("CENTRAL", 60, 130), ("STATION", 60, 30)):
        draw.text((x, y), text, fill="white", font=font)
        x0, y0, x1, y1 = draw.textbbox((x, y), text, font=font)
        polygons.append(quad((x0 - 6, y0 - 6), (x1 + 6, y0 - 6), (x1 + 6, y1 + 6), (x0 - 6, y1 + 6)))
    return picture, polygons


def quad(*points: tuple[float, float]) -> common_pb2.Polygon:
    return common_pb2.Polygon(points=[common_pb2.Point(x=x, y=y) for x, y in points])


def image(picture: PillowImage.Image | bytes) -> common_pb2.Image:
    return common_pb2.Image(content=picture if isinstance(picture, bytes) else jpeg(picture))


def heatmap(response: pb.SegmentResponse) -> np.ndarray:
    if response.format == pb.HEATMAP_FORMAT_FLOAT16:
        values = np.frombuffer(response.heatmap, dtype="<f2")
        return values.reshape(response.height, response.width).astype(np.float32)
    with PillowImage.open(io.BytesIO(response.heatmap)) as png:
        assert (png.format, png.mode) == ("PNG", "L")
        return np.asarray(png, dtype=np.float32) / 255


# Methods


def test_segment_forms_agree(server: TextDetectionProcess) -> None:
    stub = server.client.stub
    forms = {}
    for form in (pb.HEATMAP_FORMAT_UNSPECIFIED, pb.HEATMAP_FORMAT_PNG, pb.HEATMAP_FORMAT_FLOAT16):
        request = pb.SegmentRequest(image=image(street()), format=form)
        response = server.client.call(stub.Segment, request)
        assert response.format == (form or pb.HEATMAP_FORMAT_PNG)
        assert (response.width, response.height) == (200, 120)
        forms[form] = heatmap(response)
    np.testing.assert_array_equal(forms[0], forms[pb.HEATMAP_FORMAT_PNG])
    assert forms[0].std() > 0.1
    # Half a grey step and a float16's rounding.
    np.testing.assert_allclose(forms[0], forms[pb.HEATMAP_FORMAT_FLOAT16], atol=0.5 / 255 + 5e-4)


def test_answer_tells_model_and_times(server: TextDetectionProcess, model: StoredModel) -> None:
    response = server.client.call(server.client.stub.Segment, pb.SegmentRequest(image=image(street())))
    assert (response.model.name, response.model.version) == (MODEL, "1")
    assert response.model.digest == model.manifest.digest
    times = response.timings
    for stage in ("decode_ns", "preprocess_ns", "infer_ns", "postprocess_ns"):
        assert getattr(times, stage) > 0
    assert times.queue_ns >= 0
    assert times.batch_size >= 1


def test_sizes_are_those_of_the_upright_photo(server: TextDetectionProcess) -> None:
    exif = PillowImage.Exif()
    exif[0x112] = 6
    request = pb.SegmentRequest(image=image(jpeg(street(75, 41), exif=exif)))
    response = server.client.call(server.client.stub.Segment, request)
    assert (response.width, response.height) == (41, 75)
    assert heatmap(response).shape == (75, 41)


def test_one_pixel(server: TextDetectionProcess) -> None:
    response = server.client.call(server.client.stub.Segment, pb.SegmentRequest(image=image(street(1, 1))))
    assert heatmap(response).shape == (1, 1)


def test_detect_finds_rotated_rectangles_best_first(server: TextDetectionProcess) -> None:
    request = pb.DetectRequest(image=image(street()))
    response = server.client.call(server.client.stub.Detect, request)
    scores = [region.score for region in response.regions]
    assert scores
    assert scores == sorted(scores, reverse=True)
    assert all(0.1 <= score <= 1 for score in scores)
    assert all(len(region.polygon.points) == 4 for region in response.regions)
    request.options.max_regions = 2
    fewer = server.client.call(server.client.stub.Detect, request)
    assert list(fewer.regions) == list(response.regions)[:2]
    request.options.score_threshold = 1.0
    assert not server.client.call(server.client.stub.Detect, request).regions


def test_read_given_polygons_in_reading_order(server: TextDetectionProcess) -> None:
    picture, polygons = sign()
    request = pb.ReadRequest(image=image(picture), polygons=polygons)
    response = server.client.call(server.client.stub.Read, request)
    assert response.text == "STATION\nCENTRAL"
    assert [word.text for word in response.words] == ["STATION", "CENTRAL"]
    assert all(word.confidence > 0.9 for word in response.words)
    assert response.words[1].region.polygon == polygons[0]
    assert response.reader.name == READER
    assert not response.HasField("model")
    assert (response.width, response.height) == picture.size


def test_read_finds_regions_by_itself(server: TextDetectionProcess) -> None:
    request = pb.ReadRequest(image=image(street()), min_confidence=0, options=pb.DetectOptions(max_regions=5))
    response = server.client.call(server.client.stub.Read, request)
    assert response.model.name == MODEL
    assert response.reader.name == READER
    request.min_confidence = 1.0
    assert not server.client.call(server.client.stub.Read, request).words


def test_presence_is_the_heatmaps(server: TextDetectionProcess) -> None:
    client, photo = server.client, street()
    request = pb.SegmentRequest(image=image(photo), format=pb.HEATMAP_FORMAT_FLOAT16)
    expected = heatmap(client.call(client.stub.Segment, request))
    # Between two neighbouring half floats, so that rounding puts no pixel on the other side.
    levels = np.unique(expected).astype(float)
    middle = int(np.searchsorted(levels, np.median(expected)))
    threshold = (levels[middle - 1] + levels[middle]) / 2
    found = client.call(
        client.stub.Presence, pb.PresenceRequest(image=image(photo), pixel_threshold=threshold)
    )
    assert found.mean_probability == pytest.approx(expected.mean(), abs=1e-3)
    assert found.max_probability == pytest.approx(expected.max(), abs=1e-3)
    assert found.text_area_ratio == pytest.approx((expected >= threshold).mean(), abs=0.02)
    assert found.mean_brightness == pytest.approx(np.asarray(photo.convert("L")).mean(), abs=2)


def test_answers_do_not_depend_on_company(server: TextDetectionProcess) -> None:
    """Photos of one size, alone and all at once."""
    client = server.client
    requests = [pb.PresenceRequest(image=image(street(seed=seed))) for seed in range(8)]
    alone = [client.call(client.stub.Presence, request) for request in requests]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda request: client.call(client.stub.Presence, request), requests))
    for one, other in zip(alone, together, strict=True):
        assert other.mean_probability == pytest.approx(one.mean_probability, abs=1e-3)
        assert other.max_probability == pytest.approx(one.max_probability, abs=1e-3)


def test_bulk_answers_every_item_as_the_single_calls_do(server: TextDetectionProcess) -> None:
    photo = image(street())
    picture, polygons = sign()
    items = {
        "segment": pb.ProcessBulkRequest(segment=pb.SegmentRequest(image=photo)),
        "detect": pb.ProcessBulkRequest(detect=pb.DetectRequest(image=photo)),
        "read": pb.ProcessBulkRequest(read=pb.ReadRequest(image=image(picture), polygons=polygons)),
        "presence": pb.ProcessBulkRequest(presence=pb.PresenceRequest(image=photo)),
        "no image": pb.ProcessBulkRequest(presence=pb.PresenceRequest()),
        "bad option": pb.ProcessBulkRequest(
            detect=pb.DetectRequest(image=photo, options=pb.DetectOptions(max_regions=0))
        ),
        "no request": pb.ProcessBulkRequest(),
        "x" * 129: pb.ProcessBulkRequest(presence=pb.PresenceRequest(image=photo)),
    }
    for name, item in items.items():
        item.id = name
    answers = {answer.id: answer for answer in server.client.bulk(items.values())}
    assert answers.keys() == items.keys()
    assert heatmap(answers["segment"].segment).shape == (120, 200)
    single = server.client.call(server.client.stub.Detect, items["detect"].detect)
    together = answers["detect"].detect.regions
    assert len(together) == len(single.regions) > 0
    for one, other in zip(together, single.regions, strict=True):  # the last bits depend on the company
        assert one.score == pytest.approx(other.score, abs=1e-4)
        corners = [[(p.x, p.y) for p in region.polygon.points] for region in (one, other)]
        assert np.array(corners[0]) == pytest.approx(np.array(corners[1]), abs=0.01)
    assert answers["read"].read.text == "STATION\nCENTRAL"
    assert answers["presence"].presence.width == 200
    reasons = {name: a.error.reason for name, a in answers.items() if a.WhichOneof("response") == "error"}
    assert reasons == {
        "no image": "UNSUPPORTED_MEDIA",
        "bad option": "INVALID_PARAMETER",
        "no request": "INVALID_PARAMETER",
        "x" * 129: "INVALID_PARAMETER",
    }


def test_bulk_of_more_than_there_is_room_for(server: TextDetectionProcess) -> None:
    """A stream is paced, not refused."""
    content = image(street(64, 64))
    requests = [
        pb.ProcessBulkRequest(id=str(i), presence=pb.PresenceRequest(image=content)) for i in range(60)
    ]
    answers = list(server.client.bulk(requests))
    assert {answer.id for answer in answers} == {str(i) for i in range(60)}
    assert not [answer for answer in answers if answer.HasField("error")]


# Refusals

PHOTO = image(street(40, 30))
TRUNCATED = image(jpeg(street(64, 64))[:700])
SQUARE = quad((0, 0), (9, 0), (9, 9), (0, 9))
BAD: dict[str, tuple[str, Any, type[errors.InterplayError], str]] = {
    "no image": ("Segment", pb.SegmentRequest(), errors.UnsupportedMedia, "empty"),
    "gif": ("Detect", pb.DetectRequest(image=image(b"GIF89a")), errors.UnsupportedMedia, "a GIF"),
    "text": ("Read", pb.ReadRequest(image=image(b"hello")), errors.UnsupportedMedia, "not an image"),
    "truncated": ("Presence", pb.PresenceRequest(image=TRUNCATED), errors.UnreadableImage, "truncated"),
    "many bytes": (
        "Segment",
        pb.SegmentRequest(image=image(jpeg(street()) + bytes(MAX_IMAGE_BYTES))),
        errors.PayloadTooLarge,
        "the limit is 20,971,520",
    ),
    "format": (
        "Segment",
        pb.SegmentRequest(image=PHOTO, format=9),
        errors.InvalidParameter,
        "unknown format 9",
    ),
    "method": (
        "Detect",
        pb.DetectRequest(image=PHOTO, options=pb.DetectOptions(method=7)),
        errors.InvalidParameter,
        "method 7 is unknown",
    ),
    "max_regions": (
        "Detect",
        pb.DetectRequest(image=PHOTO, options=pb.DetectOptions(max_regions=2001)),
        errors.InvalidParameter,
        "max_regions is 2001; it must be 1 to 2000",
    ),
    "pixel_threshold": (
        "Presence",
        pb.PresenceRequest(image=PHOTO, pixel_threshold=1),
        errors.InvalidParameter,
        "pixel_threshold is 1; it must be above 0 and below 1",
    ),
    "nan": (
        "Detect",
        pb.DetectRequest(image=PHOTO, options=pb.DetectOptions(score_threshold=float("nan"))),
        errors.InvalidParameter,
        "score_threshold is nan",
    ),
    "min_confidence": (
        "Read",
        pb.ReadRequest(image=PHOTO, min_confidence=-0.5),
        errors.InvalidParameter,
        "min_confidence is -0.5",
    ),
    "options with polygons": (
        "Read",
        pb.ReadRequest(image=PHOTO, polygons=[SQUARE], options=pb.DetectOptions(max_regions=3)),
        errors.InvalidParameter,
        "cannot come with polygons",
    ),
    "three corners": (
        "Read",
        pb.ReadRequest(image=PHOTO, polygons=[SQUARE, quad((0, 0), (9, 0), (9, 9))]),
        errors.InvalidParameter,
        r"polygons\[1\] has 3 points",
    ),
    "outside": (
        "Read",
        pb.ReadRequest(image=PHOTO, polygons=[quad((50, 0), (60, 0), (60, 9), (50, 9))]),
        errors.InvalidParameter,
        "lies outside the photo of 40x30 pixels",
    ),
}


@pytest.mark.parametrize("method, request_, error, text", BAD.values(), ids=BAD.keys())
def test_bad_request_is_told_what_is_wrong(
    server: TextDetectionProcess, method: str, request_: Any, error: type[errors.InterplayError], text: str
) -> None:
    with pytest.raises(error, match=text) as caught:
        server.client.call(getattr(server.client.stub, method), request_)
    assert type(caught.value) is error
    assert caught.value.field


def test_strange_polygons_are_read_all_the_same(server: TextDetectionProcess) -> None:
    """No area, crossed, partly outside: nothing to read, but no reason to fail."""
    polygons = [
        quad((5, 5), (5, 5), (5, 5), (5, 5)),
        quad((0, 0), (20, 20), (20, 0), (0, 20)),
        quad((-30, -30), (20, -30), (20, 20), (-30, 20)),
        quad((5, 5), (25, 5), (5, 5), (25, 5)),
    ]
    response = server.client.call(server.client.stub.Read, pb.ReadRequest(image=PHOTO, polygons=polygons))
    assert response.width == 40


# What runs beside the methods


def test_health_of_every_service(server: TextDetectionProcess) -> None:
    for service in ("", CAPABILITY.grpc_service, "interplay.common.v1.ModelService"):
        reply = server.client.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=10)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection(server: TextDetectionProcess) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        requests = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
        (reply,) = stub.ServerReflectionInfo(requests, timeout=10)
    names = {service.name for service in reply.list_services_response.service}
    assert {CAPABILITY.grpc_service, "interplay.common.v1.ModelService"} <= names


def test_models_are_listed(server: TextDetectionProcess, model: StoredModel) -> None:
    reply = server.client.call(server.client.models.ListModels, models_pb2.ListModelsRequest())
    segmenter, reader = reply.models
    assert (segmenter.info.name, segmenter.info.digest) == (MODEL, model.manifest.digest)
    assert dict(segmenter.thresholds) == model.manifest.thresholds
    assert list(segmenter.labels) == ["background", "border", "core"]
    assert segmenter.limits.max_image_bytes == MAX_IMAGE_BYTES
    assert segmenter.limits.max_inflight > 0
    assert (reader.info.name, reader.license) == (READER, "Apache-2.0")
    assert reader.info.digest.startswith("sha256:")


def test_metrics_show_every_stage(server: TextDetectionProcess) -> None:
    picture, polygons = sign()
    counted = {"service": CAPABILITY.grpc_service, "method": "Read", "code": "OK"}
    before = server.metric("interplay_grpc_server_handled_total", **counted)
    server.client.call(server.client.stub.Read, pb.ReadRequest(image=image(picture), polygons=polygons))
    server.client.call(server.client.stub.Segment, pb.SegmentRequest(image=image(street())))
    assert server.metric("interplay_grpc_server_handled_total", **counted) == before + 1
    for name in (MODEL, READER):
        for stage in ("queue", "preprocess", "infer", "postprocess"):
            assert server.metric("interplay_inference_stage_seconds_count", model=name, stage=stage) > 0
        assert server.metric("interplay_inference_batch_size_count", model=name) > 0
        assert server.metric("interplay_inference_batch_padding_ratio_count", model=name) > 0
        assert server.metric("interplay_model_info", model=name) == 1
        assert server.metric("interplay_model_ready", model=name) == 1
        assert server.metric("interplay_model_load_seconds", model=name) > 0
        assert server.metric("interplay_inference_queue_depth", model=name) == 0
        assert server.metric("interplay_inference_inflight", model=name) == 0
    assert server.metric("interplay_inference_stage_seconds_count", model=MODEL, stage="decode") > 0
    assert server.metric("interplay_inference_requests_total", model=MODEL, outcome="ok") > 0


def test_log_lines_are_json_and_joined_by_the_request_id(server: TextDetectionProcess) -> None:
    set_request_id("request-42")
    server.client.call(server.client.stub.Presence, pb.PresenceRequest(image=PHOTO))
    with pytest.raises(errors.UnsupportedMedia):
        server.client.call(server.client.stub.Presence, pb.PresenceRequest())
    set_request_id("")

    def ours() -> list[dict[str, Any]]:
        return [line for line in server.log_lines() if line.get("request_id") == "request-42"]

    wait_until(lambda: len(ours()) == 2, what="both calls are logged")
    assert {line["service"] for line in server.log_lines()} == {CAPABILITY.name}
    assert {"serving", "model_ready"} <= {line["event"] for line in server.log_lines()}
    assert [(line["event"], line["method"], line["code"]) for line in ours()] == [
        ("call", "Presence", "OK"),
        ("call", "Presence", "INVALID_ARGUMENT"),
    ]


# Endings


def test_sigterm_finishes_what_runs_and_exits_0(model: StoredModel, tmp_path: Path) -> None:
    server = TextDetectionProcess(tmp_path, model.directory.parents[1])
    server.wait_until_serving()
    answers: list[pb.ProcessBulkResponse] = []
    under_way = threading.Event()

    def requests() -> Iterator[pb.ProcessBulkRequest]:
        for number in range(30):
            yield pb.ProcessBulkRequest(id=str(number), presence=pb.PresenceRequest(image=image(street())))

    def consume() -> None:
        for answer in server.client.bulk(requests()):
            answers.append(answer)
            under_way.set()

    caller = threading.Thread(target=consume)
    caller.start()
    assert under_way.wait(60)
    server.process.send_signal(signal.SIGTERM)
    caller.join(60)
    assert len([answer for answer in answers if answer.HasField("presence")]) == 30
    assert server.end() == 0
    assert [line["event"] for line in server.log_lines()][-1] == "stopped"


def test_damaged_weights_end_the_process_with_a_clear_line(tmp_path: Path) -> None:
    model = publish_random_model(tmp_path / "store", tmp_path)
    content = bytearray(model.weights.read_bytes())
    content[len(content) // 2] ^= 1
    model.weights.write_bytes(content)
    server = TextDetectionProcess(tmp_path, tmp_path / "store")
    assert server.process.wait(200) == 1
    server.client.close()
    (line,) = [line for line in server.log_lines() if line["event"] == "start_failed"]
    assert "has sha256" in line["reason"]
    assert not [line for line in server.log_lines() if line["event"] == "serving"]


def test_bad_configuration_exits_2_with_one_line() -> None:
    result = subprocess.run(
        [sys.executable, "-m", CAPABILITY.module],
        cwd=REPOSITORY_ROOT,
        env={**os.environ, "INTERPLAY_DEVICE": "abacus"},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith("bad configuration: INTERPLAY_DEVICE")
