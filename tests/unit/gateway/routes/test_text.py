"""``/v1/text:…`` end to end: HTTP in, gRPC out, and back."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from interplay.rpc.text_detection.v1 import text_detection_pb2 as pb
from tests.unit.gateway.harness import CORNERS, HEATMAP, FakeTextServer, RunningGateway, picture

OPERATIONS = ("segment", "detect", "read", "presence")
QUADRILATERAL = [[1, 2], [30, 2], [30, 12], [1, 12]]


def as_json(content: bytes, **options: object) -> dict[str, object]:
    return {"image": {"content": base64.b64encode(content).decode()}, **options}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_the_server_gets_the_very_bytes(
    gateway: RunningGateway, model_server: FakeTextServer, operation: str, kind: str
) -> None:
    content = picture(kind)
    for response in (
        gateway.post_image(f"/v1/text:{operation}", content),
        gateway.client.post(f"/v1/text:{operation}", json=as_json(content)),
    ):
        assert response.status_code == 200, response.text
    assert [request.image.content for request in model_server.requests] == [content, content]


def test_curls_form_is_enough(gateway: RunningGateway, tmp_path: object) -> None:
    # No declared type, an odd name: only the content counts.
    response = gateway.client.post("/v1/text:read", files={"image": ("x.exe", picture(), "text/plain")})
    assert response.status_code == 200
    assert response.json()["text"] == "EXIT"


def test_read_answers_words_model_and_timings(gateway: RunningGateway) -> None:
    response = gateway.post_image("/v1/text:read")
    body = response.json()
    timings = body.pop("timings")
    assert body == {
        "width": 120,
        "height": 80,
        "model": {"name": "fake", "version": "3", "digest": "sha256:" + "a" * 64},
        "reader": {"name": "fake-reader", "version": "1", "digest": "sha256:" + "b" * 64},
        "text": "EXIT",
        "words": [{"polygon": [list(c) for c in CORNERS], "score": 0.9, "text": "EXIT", "confidence": 0.75}],
    }
    assert timings.pop("total_ms") > 0
    assert timings == {
        "queue_ms": 1,
        "decode_ms": 2,
        "preprocess_ms": 3,
        "infer_ms": 4,
        "postprocess_ms": 0.5,
        "batch_size": 2,
    }
    header = response.headers["server-timing"]
    assert header.startswith(
        "queue;dur=1, decode;dur=2, preprocess;dur=3, infer;dur=4, postprocess;dur=0.5, total;dur="
    )


def test_detect_and_presence_answer_json(gateway: RunningGateway) -> None:
    detected = gateway.post_image("/v1/text:detect").json()
    assert detected["regions"] == [{"polygon": [list(c) for c in CORNERS], "score": 0.9}]
    presence = gateway.post_image("/v1/text:presence").json()
    assert (presence["mean_probability"], presence["max_probability"]) == (0.25, 0.5)
    assert (presence["text_area_ratio"], presence["mean_brightness"]) == (0.125, 100)


def test_segment_answers_the_servers_png_by_default(gateway: RunningGateway) -> None:
    for headers in ({}, {"Accept": "image/png"}, {"Accept": "image/avif,image/webp,image/png,*/*;q=0.8"}):
        response = gateway.post_image("/v1/text:segment", headers=headers)
        assert response.headers["content-type"] == "image/png"
        assert response.content == HEATMAP
        assert "infer;dur=4" in response.headers["server-timing"]


def test_segment_answers_json_when_asked(gateway: RunningGateway) -> None:
    headers = {"Accept": "application/json"}
    body = gateway.post_image("/v1/text:segment", headers=headers).json()
    assert base64.b64decode(body["heatmap"]) == HEATMAP
    assert (body["format"], body["width"], body["height"], body["model"]["name"]) == ("png", 12, 8, "fake")
    raw = gateway.post_image("/v1/text:segment", headers=headers, data={"format": "float16"}).json()
    assert raw["format"] == "float16"
    assert np.frombuffer(base64.b64decode(raw["heatmap"]), "<f2").size == 12 * 8


def test_float16_does_not_fit_a_png_answer(gateway: RunningGateway, model_server: FakeTextServer) -> None:
    response = gateway.post_image("/v1/text:segment", data={"format": "float16"})
    assert response.status_code == 422
    assert "application/json" in response.json()["detail"]
    assert model_server.requests == []


@pytest.mark.parametrize("operation", ["detect", "read"])
def test_regions_are_drawn_on_the_photo(gateway: RunningGateway, operation: str) -> None:
    photo = picture("PNG")
    response = gateway.post_image(f"/v1/text:{operation}", photo, headers={"Accept": "image/png"})
    assert response.headers["content-type"] == "image/png"
    drawn = np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB")).astype(int)
    plain = np.asarray(Image.open(io.BytesIO(photo)).convert("RGB")).astype(int)
    assert drawn.shape == plain.shape
    changed = np.abs(drawn - plain).sum(axis=2) > 0
    assert changed[12:26, 14:54].all()  # inside the region
    assert not changed[60:, 80:].any()  # far away from it


def test_drawing_follows_the_exif_orientation(gateway: RunningGateway) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = picture("JPEG", (120, 80), exif=exif.tobytes())
    response = gateway.post_image("/v1/text:detect", content, headers={"Accept": "image/png"})
    assert Image.open(io.BytesIO(response.content)).size == (80, 120)


@pytest.mark.parametrize("form", [True, False])
def test_options_reach_the_server(gateway: RunningGateway, model_server: FakeTextServer, form: bool) -> None:
    options = {"method": "components", "pixel_threshold": 0.25, "score_threshold": 0.5, "max_regions": 7}
    if form:
        response = gateway.post_image("/v1/text:detect", data={k: str(v) for k, v in options.items()})
    else:
        response = gateway.client.post("/v1/text:detect", json=as_json(picture(), **options))
    assert response.status_code == 200, response.text
    sent = model_server.requests[-1].options
    assert (sent.method, sent.pixel_threshold, sent.score_threshold, sent.max_regions) == (
        pb.DETECT_METHOD_COMPONENTS,
        0.25,
        0.5,
        7,
    )


def test_unset_options_stay_unset(gateway: RunningGateway, model_server: FakeTextServer) -> None:
    gateway.post_image("/v1/text:read")
    request = model_server.requests[-1]
    assert not request.options.HasField("pixel_threshold")
    assert not request.options.HasField("max_regions")
    assert not request.HasField("min_confidence")


@pytest.mark.parametrize("form", [True, False])
def test_given_polygons_are_read(gateway: RunningGateway, model_server: FakeTextServer, form: bool) -> None:
    if form:
        response = gateway.post_image("/v1/text:read", data={"polygons": json.dumps([QUADRILATERAL])})
    else:
        response = gateway.client.post("/v1/text:read", json=as_json(picture(), polygons=[QUADRILATERAL]))
    assert response.status_code == 200, response.text
    assert response.json()["model"] is None
    request = model_server.requests[-1]
    assert [[(p.x, p.y) for p in polygon.points] for polygon in request.polygons] == [
        [tuple(point) for point in QUADRILATERAL]
    ]
    assert not request.HasField("options")


def test_an_image_by_url_needs_configuration(gateway: RunningGateway) -> None:
    response = gateway.client.post("/v1/text:read", json={"image": {"uri": "https://example.com/a.jpg"}})
    assert response.status_code == 403
    assert "not enabled" in response.json()["detail"]
