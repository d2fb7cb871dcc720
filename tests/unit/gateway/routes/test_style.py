"""``/v1/styles`` and ``/v1/style:…`` end to end: HTTP in, gRPC out, and back."""

from __future__ import annotations

import base64
import email.policy
import io
import json
from email.message import EmailMessage
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from interplay.errors import DeadlineExceeded, InterplayError, InvalidParameter, PayloadTooLarge, Unavailable
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb
from tests.fake_style_transfer import STYLES, WORD, FakeStyleTransfer, colour_of
from tests.unit.gateway.harness import FakeTextServer, RunningGateway, Starter, picture

PHOTO = picture("PNG", (120, 80))
TRANSFER, RENDER = "/v1/style:transfer", "/v1/style:render"
TRIANGLE = [[10, 10], [50, 10], [50, 30]]
SQUARE = [[60, 40], [90, 40], [90, 70], [60, 70]]
RED, GOLD = colour_of(("red-neon", 1)), colour_of(("gold", 1))
MODEL = {"name": "fake-scene", "version": "2", "digest": "sha256:" + "c" * 64}
DETECTOR = {"name": "fake", "version": "3", "digest": "sha256:" + "a" * 64}


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def transfer(gateway: RunningGateway, accept: str | None = None, **fields: str) -> httpx.Response:
    """POST the photo as a form."""
    headers = {"Accept": accept} if accept else {}
    return gateway.post_image(TRANSFER, PHOTO, data=fields, headers=headers)


def as_json(**options: Any) -> dict[str, Any]:
    return {"json": {"image": {"content": base64.b64encode(PHOTO).decode()}, **options}}


def form(**fields: str) -> dict[str, Any]:
    """A multipart form without a file, as of `curl -F text=Hello`."""
    return {"files": {name: (None, value) for name, value in fields.items()}}


def parts(response: httpx.Response) -> list[EmailMessage]:
    """The parts of a multipart answer, parsed by the standard library."""
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + response.content, policy=email.policy.HTTP)
    assert isinstance(message, EmailMessage) and message.is_multipart() and not message.defects
    return list(message.iter_parts())  # type: ignore[arg-type]


def mixes(request: Any) -> list[list[tuple[str, float | None]]]:
    return [
        [(p.style, round(p.weight, 4) if p.HasField("weight") else None) for p in mix.parts]
        for mix in request.mixes
    ]


# The list of styles.


def test_styles_are_listed_with_thumbnails(gateway: RunningGateway) -> None:
    response = gateway.client.get("/v1/styles")
    assert response.status_code == 200 and response.headers["vary"] == "Accept"
    styles = response.json()["styles"]
    assert [style["name"] for style in styles] == list(STYLES)
    thumbnail = pixels(base64.b64decode(styles[0].pop("thumbnail")))
    assert styles[0] == {"name": "red-neon", "domain": "scene", "model": MODEL, "end_to_end": True}
    assert (thumbnail == RED).all()


def test_thumbnails_can_be_left_out(gateway: RunningGateway, style_server: FakeStyleTransfer) -> None:
    styles = gateway.client.get("/v1/styles", params={"thumbnails": "false"}).json()["styles"]
    assert [style["thumbnail"] for style in styles] == [None] * len(STYLES)
    assert style_server.requests[-1].without_thumbnails


def test_styles_as_a_picture_are_a_contact_sheet(gateway: RunningGateway) -> None:
    response = gateway.client.get("/v1/styles", headers={"Accept": "image/png"})
    assert response.headers["content-type"] == "image/png" and response.headers["vary"] == "Accept"
    sheet = pixels(response.content)
    assert sheet.shape == (1 * (200 + 18 + 8) + 8, 3 * (200 + 8) + 8, 3)
    for column, (_, colour) in enumerate(STYLES.values()):
        assert tuple(sheet[108, 8 + 208 * column + 100]) == colour


def test_a_sheet_needs_styles_and_thumbnails(
    gateway: RunningGateway, style_server: FakeStyleTransfer
) -> None:
    headers = {"Accept": "image/png"}
    response = gateway.client.get("/v1/styles", params={"thumbnails": "false"}, headers=headers)
    assert response.status_code == 422 and response.json()["errors"][0]["field"] == "thumbnails"
    assert style_server.requests == []
    style_server.styles = []
    assert gateway.client.get("/v1/styles", headers=headers).status_code == 404
    assert gateway.client.get("/v1/styles").json() == {"styles": []}


# Which pixels, which styles.


@pytest.mark.parametrize(
    ("mode", "proto", "rows", "columns", "ratio"),
    [
        ("whole", pb.STYLE_MODE_WHOLE, slice(None), slice(None), 1.0),
        ("selective", pb.STYLE_MODE_SELECTIVE, slice(0, 40), slice(None), 0.5),
        ("end_to_end", pb.STYLE_MODE_END_TO_END, slice(None), slice(0, 30), 0.25),
        (None, pb.STYLE_MODE_SELECTIVE, slice(0, 40), slice(None), 0.5),
    ],
)
def test_a_mode_decides_which_pixels(
    gateway: RunningGateway,
    style_server: FakeStyleTransfer,
    mode: str | None,
    proto: int,
    rows: slice,
    columns: slice,
    ratio: float,
) -> None:
    fields = {"style": "red-neon"} | ({"mode": mode} if mode else {})
    response = transfer(gateway, **fields)
    assert response.status_code == 200, response.text
    expected = pixels(PHOTO).copy()
    expected[rows, columns] = RED
    assert (pixels(response.content) == expected).all()
    assert style_server.requests[-1].mode == proto
    assert style_server.requests[-1].image.content == PHOTO  # the very bytes
    body = transfer(gateway, "application/json", **fields).json()
    assert body["styled_ratio"] == ratio
    assert body["detector"] == (DETECTOR if proto == pb.STYLE_MODE_SELECTIVE else None)


@pytest.mark.parametrize("in_form", [True, False])
def test_given_polygons_are_restyled(
    gateway: RunningGateway, style_server: FakeStyleTransfer, in_form: bool
) -> None:
    polygons = [TRIANGLE, SQUARE]
    if in_form:
        response = transfer(gateway, style="gold", mode="polygons", polygons=json.dumps(polygons))
    else:
        response = gateway.client.post(TRANSFER, **as_json(style="gold", mode="polygons", polygons=polygons))
    assert response.status_code == 200, response.text
    sent = [[[p.x, p.y] for p in polygon.points] for polygon in style_server.requests[-1].polygons]
    assert sent == polygons
    styled = pixels(response.content)
    assert (styled[10:30, 10:50] == GOLD).all() and (styled[40:70, 60:90] == GOLD).all()
    assert (styled[70:] == pixels(PHOTO)[70:]).all()


@pytest.mark.parametrize("in_form", [True, False])
def test_options_reach_the_server(
    gateway: RunningGateway, style_server: FakeStyleTransfer, in_form: bool
) -> None:
    options = {"style": "gold", "mode": "selective", "heat_floor": 0.25, "format": "webp", "quality": 55}
    if in_form:
        response = transfer(gateway, "*/*", **{name: str(value) for name, value in options.items()})
    else:
        response = gateway.client.post(TRANSFER, **as_json(**options))
    assert response.status_code == 200, response.text
    request = style_server.requests[-1]
    assert (request.heat_floor, request.quality, request.format) == (0.25, 55, pb.PICTURE_FORMAT_WEBP)


def test_unset_options_stay_unset(gateway: RunningGateway, style_server: FakeStyleTransfer) -> None:
    transfer(gateway, style="gold")
    request = style_server.requests[-1]
    assert not request.HasField("heat_floor") and not request.HasField("quality")


@pytest.mark.parametrize(
    ("text", "sent", "shown"),
    [
        ("gold", [("gold", None)], "gold"),
        ("gold:0.5", [("gold", 0.5)], "gold:0.5"),
        ("red-neon:0.7,gold:0.3", [("red-neon", 0.7), ("gold", 0.3)], "red-neon:0.7,gold:0.3"),
        (" red-neon , gold: .25 ", [("red-neon", None), ("gold", 0.25)], "red-neon,gold:0.25"),
        ("red-neon:1,gold:0", [("red-neon", 1.0), ("gold", 0.0)], "red-neon,gold:0"),
        ("gold:4", [("gold", 4.0)], "gold:4"),
    ],
)
def test_a_mix_is_written_as_text(
    gateway: RunningGateway, style_server: FakeStyleTransfer, text: str, sent: list[Any], shown: str
) -> None:
    response = transfer(gateway, "application/json", style=text, mode="whole")
    assert mixes(style_server.requests[-1]) == [sent]
    (result,) = response.json()["images"]
    assert result["style"] == shown
    colour = colour_of(*((name, 1.0 if weight is None else weight) for name, weight in sent))
    assert np.abs(pixels(base64.b64decode(result["content"])).astype(int) - colour).max() <= 1


# One result, of each kind.


@pytest.mark.parametrize(
    ("accept", "media_type", "kind"),
    [
        (None, "image/png", "PNG"),
        ("*/*", "image/png", "PNG"),
        ("image/*", "image/png", "PNG"),
        ("image/jpeg", "image/jpeg", "JPEG"),
        ("image/webp", "image/webp", "WEBP"),
        ("image/avif, image/webp, image/png, */*;q=0.8", "image/png", "PNG"),
        ("image/jpeg;q=0.5, image/webp", "image/webp", "WEBP"),
    ],
)
def test_one_result_is_a_picture_as_accept_asks(
    gateway: RunningGateway, accept: str | None, media_type: str, kind: str
) -> None:
    response = transfer(gateway, accept, style="gold", mode="whole")
    assert response.headers["content-type"] == media_type
    assert Image.open(io.BytesIO(response.content)).format == kind
    assert response.headers["server-timing"].startswith("queue;dur=1, decode;dur=0, preprocess;dur=0, infer;")
    assert response.headers["vary"] == "Accept"


def test_one_result_as_json(gateway: RunningGateway) -> None:
    response = transfer(gateway, "application/json", style="red-neon")
    body = response.json()
    (result,) = body.pop("images")
    timings = body.pop("timings")
    assert body == {
        "width": 120,
        "height": 80,
        "format": "png",
        "model": MODEL,
        "detector": DETECTOR,
        "styled_ratio": 0.5,
    }
    assert (timings["queue_ms"], timings["infer_ms"], timings["batch_size"]) == (1, 4, 2)
    assert "infer;dur=4" in response.headers["server-timing"]
    assert (pixels(base64.b64decode(result["content"]))[:40] == RED).all()


def test_format_decides_where_accept_leaves_it_open(gateway: RunningGateway) -> None:
    assert transfer(gateway, style="gold", format="webp").headers["content-type"] == "image/webp"
    assert transfer(gateway, "image/*", style="gold", format="jpeg").headers["content-type"] == "image/jpeg"
    body = transfer(gateway, "application/json", style="gold", format="jpeg").json()
    assert body["format"] == "jpeg"
    assert base64.b64decode(body["images"][0]["content"]).startswith(b"\xff\xd8\xff")


@pytest.mark.parametrize("path", [TRANSFER, RENDER])
def test_format_must_fit_accept(gateway: RunningGateway, style_server: FakeStyleTransfer, path: str) -> None:
    fields = {"style": "gold", "format": "jpeg"} | ({"text": "OPEN"} if path == RENDER else {})
    response = gateway.post_image(path, data=fields, headers={"Accept": "image/png"})
    assert response.status_code == 422
    assert response.json()["errors"][0]["field"] == "format"
    assert "format jpeg does not fit Accept" in response.json()["detail"]
    assert style_server.requests == []


def test_quality_is_of_the_picture(gateway: RunningGateway) -> None:
    fine, coarse = (
        transfer(gateway, "image/jpeg", style="gold", quality=quality) for quality in ("95", "10")
    )
    assert len(fine.content) > 1.5 * len(coarse.content)
    assert transfer(gateway, style="gold", quality="10").headers["content-type"] == "image/png"


# Several results.

SEVERAL = ["red-neon", "red-neon:0.5,gold:0.25", "typewriter"]


@pytest.mark.parametrize("accept", [None, "multipart/mixed", "*/*", "multipart/*;q=0.9, image/png;q=0.5"])
def test_several_results_are_the_parts_of_a_multipart_answer(
    gateway: RunningGateway, style_server: FakeStyleTransfer, accept: str | None
) -> None:
    response = transfer(gateway, accept, styles=json.dumps(SEVERAL), mode="whole")
    assert response.headers["content-type"].startswith("multipart/mixed; boundary=")
    assert response.headers["vary"] == "Accept" and "infer;dur=4" in response.headers["server-timing"]
    found = parts(response)
    assert [part["Interplay-Style"] for part in found] == SEVERAL
    assert [part.get_content_type() for part in found] == ["image/png"] * 3
    assert [part.get_content_disposition() for part in found] == ["attachment"] * 3
    assert [part.get_filename() for part in found] == [
        "1-red-neon.png",
        "2-red-neon_0.5_gold_0.25.png",
        "3-typewriter.png",
    ]
    colours = [colour_of(("red-neon", 1)), colour_of(("red-neon", 0.5), ("gold", 0.25)), (0, 0, 200)]
    for part, colour in zip(found, colours, strict=True):
        assert (pixels(part.get_payload(decode=True)) == colour).all()
    assert len(style_server.requests) == 1


def test_parts_are_written_as_format_says(gateway: RunningGateway) -> None:
    found = parts(transfer(gateway, styles=json.dumps(SEVERAL), format="jpeg"))
    assert [part.get_content_type() for part in found] == ["image/jpeg"] * 3
    assert found[0].get_filename() == "1-red-neon.jpeg"
    assert Image.open(io.BytesIO(found[0].get_payload(decode=True))).format == "JPEG"


def test_a_part_of_one_result_for_who_asks(gateway: RunningGateway) -> None:
    (part,) = parts(transfer(gateway, "multipart/mixed", style="gold"))
    assert part["Interplay-Style"] == "gold"


def test_a_list_of_one_is_one_result(gateway: RunningGateway) -> None:
    assert transfer(gateway, styles='["gold"]').headers["content-type"] == "image/png"


def test_no_name_of_a_style_breaks_a_header(gateway: RunningGateway, monkeypatch: pytest.MonkeyPatch) -> None:
    styles = ["żółty", '"quoted"\r\nSet-Cookie a=b', "../../etc/passwd"]
    for style in styles:
        monkeypatch.setitem(STYLES, style, STYLES["gold"])
    response = gateway.client.post(TRANSFER, **as_json(styles=styles))
    assert response.status_code == 200, response.text
    found = parts(response)
    assert [set(part.keys()) for part in found] == [
        {"Content-Type", "Content-Disposition", "Interplay-Style"}
    ] * 3
    assert [part.get_filename() for part in found] == [
        "1-_ty.png",
        "2-_quoted_Set-Cookie_a_b.png",
        "3-.._.._etc_passwd.png",
    ]
    assert found[0]["Interplay-Style"] == "%C5%BC%C3%B3%C5%82ty"


@pytest.mark.parametrize(
    ("accept", "kind"), [("image/png", "PNG"), ("image/jpeg", "JPEG"), ("image/webp", "WEBP")]
)
def test_several_results_as_a_picture_are_one_contact_sheet(
    gateway: RunningGateway, style_server: FakeStyleTransfer, accept: str, kind: str
) -> None:
    styles = [*SEVERAL, "gold", "gold:0.5"]
    response = transfer(gateway, accept, styles=json.dumps(styles), mode="whole")
    assert response.headers["content-type"] == accept
    assert response.headers["vary"] == "Accept" and "infer;dur=4" in response.headers["server-timing"]
    assert Image.open(io.BytesIO(response.content)).format == kind
    sheet = pixels(response.content).astype(int)
    assert sheet.shape == (2 * (320 + 18 + 8) + 8, 4 * (320 + 8) + 8, 3)
    colours = [RED, colour_of(("red-neon", 0.5), ("gold", 0.25)), (0, 0, 200), GOLD]
    for column, colour in enumerate(colours):
        assert np.abs(sheet[168, 8 + 328 * column + 160] - colour).max() < 12
    assert sheet[330:346, 8:328].min() < 120  # a caption
    assert style_server.requests[-1].format == pb.PICTURE_FORMAT_JPEG  # on the way, to be shrunk here


def test_several_results_as_json(gateway: RunningGateway) -> None:
    body = transfer(gateway, "application/json", styles=json.dumps(SEVERAL), mode="whole").json()
    assert [result["style"] for result in body["images"]] == SEVERAL
    assert (pixels(base64.b64decode(body["images"][2]["content"])) == (0, 0, 200)).all()
    assert body["timings"]["infer_ms"] == 4


@pytest.mark.parametrize(("path", "offer"), [(TRANSFER, "multipart/mixed"), (RENDER, "application/json")])
def test_what_cannot_be_answered_is_refused_before_the_body_is_read(
    gateway: RunningGateway, style_server: FakeStyleTransfer, path: str, offer: str
) -> None:
    response = gateway.client.post(path, content=b"no form", headers={"Accept": "text/html"})
    assert response.status_code == 406 and offer in response.json()["detail"]
    assert style_server.requests == []


# Words.


@pytest.mark.parametrize("in_form", [True, False])
def test_words_need_no_image(gateway: RunningGateway, style_server: FakeStyleTransfer, in_form: bool) -> None:
    options = {"text": "OPEN", "style": "red-neon:0.5,gold:0.5", "line_height": 32}
    if in_form:
        request = form(**{name: str(value) for name, value in options.items()})
    else:
        request = {"json": options}
    response = gateway.client.post(RENDER, **request)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png" and response.headers["vary"] == "Accept"
    assert "infer;dur=4" in response.headers["server-timing"]
    words = pixels(response.content)
    assert words.shape == (32, 40, 4) and words[0, 0, 3] == 0
    assert tuple(words[16, 20]) == (*colour_of(("red-neon", 0.5), ("gold", 0.5)), 255)
    sent = style_server.requests[-1]
    assert (sent.text, sent.line_height, sent.HasField("image")) == ("OPEN", 32, False)


def test_curls_form_without_a_file_is_enough(gateway: RunningGateway) -> None:
    response = gateway.client.post(RENDER, **form(text="Hello", style="red-neon"))
    assert response.status_code == 200
    assert pixels(response.content).shape == (64, 50, 4)


def test_a_null_image_is_none(gateway: RunningGateway, style_server: FakeStyleTransfer) -> None:
    body = {"text": "A", "style": "gold", "image": None, "region": None, "line_height": None}
    assert gateway.client.post(RENDER, json=body).status_code == 200
    assert not style_server.requests[-1].HasField("line_height")


def test_words_as_json(gateway: RunningGateway) -> None:
    response = gateway.client.post(
        RENDER,
        json={"text": "OPEN", "style": "gold", "format": "webp"},
        headers={"Accept": "application/json"},
    )
    body = response.json()
    assert body.pop("timings")["infer_ms"] == 4
    assert Image.open(io.BytesIO(base64.b64decode(body.pop("image")))).format == "WEBP"
    assert body == {
        "width": 40,
        "height": 64,
        "format": "webp",
        "model": MODEL,
        "detector": None,
        "style": "gold",
        "region": None,
    }


@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_words_in_other_kinds(gateway: RunningGateway, kind: str) -> None:
    headers = {"Accept": f"image/{kind.lower()}"}
    response = gateway.client.post(RENDER, headers=headers, **form(text="OPEN", style="gold", quality="80"))
    assert response.headers["content-type"] == headers["Accept"]
    assert Image.open(io.BytesIO(response.content)).format == kind


@pytest.mark.parametrize("in_form", [True, False])
def test_words_go_into_an_image(
    gateway: RunningGateway, style_server: FakeStyleTransfer, in_form: bool
) -> None:
    if in_form:
        fields = {"text": "OPEN", "style": "red-neon", "region": json.dumps(SQUARE)}
        response = gateway.post_image(RENDER, PHOTO, data=fields)
    else:
        response = gateway.client.post(RENDER, **as_json(text="OPEN", style="red-neon", region=SQUARE))
    assert response.status_code == 200, response.text
    result = pixels(response.content)
    assert (result[40:70, 60:90] == RED).all() and (result[:40] == pixels(PHOTO)[:40]).all()
    assert style_server.requests[-1].image.content == PHOTO


def test_style_and_region_may_be_left_to_the_server(
    gateway: RunningGateway, style_server: FakeStyleTransfer
) -> None:
    headers = {"Accept": "application/json"}
    body = gateway.client.post(RENDER, headers=headers, **as_json(text="OPEN")).json()
    assert (body["style"], body["region"], body["detector"]) == ("gold", [list(p) for p in WORD], DETECTOR)
    sent = style_server.requests[-1]
    assert not sent.HasField("mix") and not sent.HasField("region")


def test_line_breaks_of_browsers_are_line_breaks(
    gateway: RunningGateway, style_server: FakeStyleTransfer
) -> None:
    assert gateway.client.post(RENDER, **form(text="A\r\nB", style="gold")).status_code == 200
    assert style_server.requests[-1].text == "A\nB"


# What goes wrong behind the gateway.


@pytest.mark.parametrize(
    ("error", "status", "retry_after"),
    [
        (Unavailable("the text detection server is not available", retry_after_s=2.0), 503, "2"),
        (InvalidParameter("there is no style 'x'", field="mixes[0].parts[0]"), 422, None),
        (PayloadTooLarge("the limit of one call is 24,000,000", field="mixes"), 413, None),
        (DeadlineExceeded("expired in the queue"), 504, None),
    ],
)
@pytest.mark.parametrize("path", [TRANSFER, RENDER, "/v1/styles"])
def test_errors_of_the_server_are_passed_on(
    gateway: RunningGateway,
    style_server: FakeStyleTransfer,
    error: InterplayError,
    status: int,
    retry_after: str | None,
    path: str,
) -> None:
    style_server.error = error
    if path == "/v1/styles":
        response = gateway.client.get(path)
    else:
        response = gateway.client.post(
            path, **as_json(style="gold", **{"text": "A"} if path == RENDER else {})
        )
    assert response.status_code == status
    problem = response.json()
    assert (problem["detail"], problem["reason"]) == (error.message, error.row.reason)
    assert response.headers.get("retry-after") == retry_after
    if error.field:
        assert problem["errors"][0]["field"] == error.field


def test_an_unknown_style_is_the_servers_to_refuse(gateway: RunningGateway) -> None:
    response = transfer(gateway, style="gold,plaid")
    assert response.status_code == 422 and "no style 'plaid'" in response.json()["detail"]


def test_without_the_capability_nothing_is_read(start_gateway: Starter, model_server: FakeTextServer) -> None:
    address = {"text_detection": f"127.0.0.1:{model_server.port}"}
    running = start_gateway(capability_addresses=address)
    for response in (running.client.get("/v1/styles"), running.client.post(RENDER, json={"text": "A"})):
        assert response.status_code == 503
        assert "style_transfer is not part of this installation" in response.json()["detail"]


def test_an_image_by_url_needs_configuration(gateway: RunningGateway) -> None:
    for path, options in ((TRANSFER, {"style": "gold"}), (RENDER, {"text": "A"})):
        body = {"image": {"uri": "https://example.com/a.jpg"}, **options}
        assert gateway.client.post(path, json=body).status_code == 403
