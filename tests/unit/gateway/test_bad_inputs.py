"""Bad inputs, each with its documented status, its reason and a text that helps."""

from __future__ import annotations

import base64
import io
import json
import struct
import zlib
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image

from tests.unit.gateway.harness import FakeTextServer, RunningGateway, picture

PHOTO = picture()
BASE64 = base64.b64encode(PHOTO).decode()
QUADRILATERAL = [[1, 2], [30, 2], [30, 12], [1, 12]]


def png_header(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (8, 8), (i * 60, 0, 0)) for i in range(3)]
    buffer = io.BytesIO()
    frames[0].save(buffer, format=kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def gif() -> bytes:
    buffer = io.BytesIO()
    Image.new("P", (8, 8)).save(buffer, format="GIF")
    return buffer.getvalue()


def form(content: bytes = PHOTO, name: str = "image", **fields: str) -> dict[str, Any]:
    return {"files": {name: ("photo.jpg", content, "image/jpeg")}, "data": fields}


def body(content: str | bytes, media_type: str | None = "application/json") -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": media_type} if media_type else {}}


def options(**fields: Any) -> dict[str, Any]:
    return {"json": {"image": {"content": BASE64}, **fields}}


def multipart(raw: bytes, media_type: str = "multipart/form-data; boundary=x") -> dict[str, Any]:
    return body(raw, media_type)


@dataclass
class Bad:
    """A request that must be refused."""

    name: str
    request: dict[str, Any]
    status: int
    reason: str
    text: str
    path: str = "/v1/text:detect"
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


TABLE = [
    # Images whose content is wrong, whatever their name and type say.
    Bad("empty file", form(b""), 415, "UNSUPPORTED_MEDIA", "empty (0 bytes)"),
    Bad(
        "text as image",
        form(b"hello, I am a photo"),
        415,
        "UNSUPPORTED_MEDIA",
        "not an image; accepted are JPEG",
    ),
    Bad("GIF as JPEG", form(gif()), 415, "UNSUPPORTED_MEDIA", "a GIF"),
    Bad("PDF as JPEG", form(b"%PDF-1.7 ..."), 415, "UNSUPPORTED_MEDIA", "a PDF"),
    Bad("SVG as JPEG", form(b"<svg xmlns='x'/>"), 415, "UNSUPPORTED_MEDIA", "an SVG"),
    Bad("ZIP as JPEG", form(b"PK\x03\x04" + b"0" * 64), 415, "UNSUPPORTED_MEDIA", "a ZIP"),
    Bad("HTML as JPEG", form(b"<html></html>"), 415, "UNSUPPORTED_MEDIA", "an HTML"),
    Bad("animated PNG", form(animated("PNG")), 415, "UNSUPPORTED_MEDIA", "animated (3 frames)"),
    Bad("animated WebP", form(animated("WEBP")), 415, "UNSUPPORTED_MEDIA", "animated (3 frames)"),
    Bad("JPEG magic, then nothing", form(b"\xff\xd8\xff"), 422, "UNREADABLE_IMAGE", "truncated or corrupt"),
    Bad(
        "JPEG magic, then noise", form(b"\xff\xd8\xff" + b"\x00" * 500), 422, "UNREADABLE_IMAGE", "JPEG data"
    ),
    Bad("PNG cut in its header", form(picture("PNG")[:20]), 422, "UNREADABLE_IMAGE", "PNG data"),
    Bad("WebP cut in its header", form(picture("WEBP")[:16]), 422, "UNREADABLE_IMAGE", "WEBP data"),
    Bad("pixel bomb", form(png_header(60_000, 60_000)), 413, "PAYLOAD_TOO_LARGE", "limit of 40,000,000"),
    Bad(
        "too long a side",
        form(png_header(30_000, 1)),
        413,
        "PAYLOAD_TOO_LARGE",
        "the limit for a side is 20,000",
    ),
    Bad("zero width", form(png_header(0, 10)), 422, "UNREADABLE_IMAGE", "PNG data"),
    # Forms.
    Bad(
        "no file",
        {"data": {"max_regions": "3"}, "files": {"x": (None, "")}},
        422,
        "INVALID_PARAMETER",
        "no file",
    ),
    Bad(
        "file in another field",
        form(name="photo"),
        422,
        "INVALID_PARAMETER",
        "a file came in the field 'photo'",
    ),
    Bad(
        "forgotten @ of curl",
        {"files": {"image": (None, "photo.jpg")}},
        422,
        "INVALID_PARAMETER",
        "curl -F image=@photo.jpg",
    ),
    Bad(
        "two files",
        {"files": [("image", ("a", PHOTO)), ("image", ("b", PHOTO))]},
        400,
        "INVALID_INPUT",
        "Maximum number of files is 1",
    ),
    Bad(
        "unknown field",
        form(colour="red"),
        422,
        "INVALID_PARAMETER",
        "unknown field 'colour'; known: image, method",
    ),
    Bad(
        "field twice",
        {"files": [("image", ("a", PHOTO)), ("max_regions", (None, "1")), ("max_regions", (None, "2"))]},
        422,
        "INVALID_PARAMETER",
        "'max_regions' is there more than once",
    ),
    Bad("many fields", form(**{f"f{i}": "1" for i in range(60)}), 400, "INVALID_INPUT", "Too many fields"),
    Bad("form without boundary", multipart(b"abc", "multipart/form-data"), 400, "INVALID_INPUT", "boundary"),
    Bad("form that is none", multipart(b"this is no form"), 400, "INVALID_INPUT", "the form cannot be read"),
    Bad(
        "form cut short",
        multipart(b'--x\r\nContent-Disposition: form-data; name="image'),
        400,
        "INVALID_INPUT",
        "form",
    ),
    Bad("part without name", multipart(b"--x\r\n\r\nabc\r\n--x--\r\n"), 400, "INVALID_INPUT", '"name"'),
    # Bodies of another kind.
    Bad("no content type", body(PHOTO, None), 415, "UNSUPPORTED_MEDIA", "send multipart/form-data"),
    Bad("bare image body", body(PHOTO, "image/jpeg"), 415, "UNSUPPORTED_MEDIA", "Content-Type 'image/jpeg'"),
    Bad("XML", body("<a/>", "application/xml"), 415, "UNSUPPORTED_MEDIA", "application/xml"),
    Bad("url-encoded form", {"data": {"image": BASE64}}, 415, "UNSUPPORTED_MEDIA", "x-www-form-urlencoded"),
    # JSON.
    Bad("empty body", body(b""), 400, "INVALID_INPUT", "the body is empty"),
    Bad("broken JSON", body('{"image": '), 400, "INVALID_INPUT", "not valid JSON"),
    Bad("not UTF-8", body(b'{"image": "\xff"}'), 400, "INVALID_INPUT", "not valid JSON"),
    Bad("a list", body("[1, 2]"), 400, "INVALID_INPUT", "must be a JSON object, not list"),
    Bad(
        "deep JSON",
        body('{"image":' + "[" * 100_000 + "]" * 100_000 + "}"),
        400,
        "INVALID_INPUT",
        "nested too deeply",
    ),
    Bad(
        "NaN",
        body('{"image": {"content": "AAAA"}, "score_threshold": NaN}'),
        400,
        "INVALID_INPUT",
        "NaN is not JSON",
    ),
    Bad(
        "number of 5000 digits",
        body('{"max_regions": ' + "9" * 5000 + "}"),
        400,
        "INVALID_INPUT",
        "not valid JSON",
    ),
    Bad("no image", {"json": {"max_regions": 3}}, 422, "INVALID_PARAMETER", "image must be"),
    Bad(
        "image is a string", {"json": {"image": BASE64}}, 422, "INVALID_PARAMETER", '{"content": "<base64>"}'
    ),
    Bad(
        "image is empty", {"json": {"image": {}}}, 422, "INVALID_PARAMETER", "exactly one of content and uri"
    ),
    Bad(
        "image is both",
        {"json": {"image": {"content": BASE64, "uri": "https://example.com/a.jpg"}}},
        422,
        "INVALID_PARAMETER",
        "exactly one of content and uri",
    ),
    Bad("content is a number", {"json": {"image": {"content": 5}}}, 422, "INVALID_PARAMETER", "a string"),
    Bad("not base64", {"json": {"image": {"content": "photo!"}}}, 422, "INVALID_PARAMETER", "is not base64"),
    Bad("bad padding", {"json": {"image": {"content": "abcde"}}}, 422, "INVALID_PARAMETER", "is not base64"),
    Bad(
        "base64 of non-ASCII",
        {"json": {"image": {"content": "żółw"}}},
        422,
        "INVALID_PARAMETER",
        "is not base64",
    ),
    Bad(
        "data URI",
        {"json": {"image": {"content": "data:image/jpeg;base64," + BASE64}}},
        422,
        "INVALID_PARAMETER",
        "no data: prefix",
    ),
    Bad("empty base64", {"json": {"image": {"content": ""}}}, 415, "UNSUPPORTED_MEDIA", "empty (0 bytes)"),
    Bad(
        "unknown field of image",
        {"json": {"image": {"content": BASE64, "path": "/etc/passwd"}}},
        422,
        "INVALID_PARAMETER",
        "unknown field 'image.path'",
    ),
    Bad("unknown option", options(threshold=0.5), 422, "INVALID_PARAMETER", "unknown field 'threshold'"),
    Bad(
        "lone surrogate",
        body('{"image": {"content": "AAAA"}, "\\ud800": 1}'),
        422,
        "INVALID_PARAMETER",
        "unknown field",
    ),
    Bad(
        "URL not enabled",
        {"json": {"image": {"uri": "file:///etc/passwd"}}},
        403,
        "PERMISSION_DENIED",
        "not enabled",
    ),
    # Parameters out of their limits.
    Bad(
        "zero regions",
        options(max_regions=0),
        422,
        "INVALID_PARAMETER",
        "max_regions: Input should be greater than",
    ),
    Bad(
        "5000 regions",
        options(max_regions=5000),
        422,
        "INVALID_PARAMETER",
        "less than or equal to 2000, got 5000",
    ),
    Bad("half a region", options(max_regions=1.5), 422, "INVALID_PARAMETER", "max_regions"),
    Bad(
        "regions as text",
        options(max_regions="3"),
        422,
        "INVALID_PARAMETER",
        "max_regions: Input should be a valid int",
    ),
    Bad("regions as bool", options(max_regions=True), 422, "INVALID_PARAMETER", "max_regions"),
    Bad(
        "threshold 0",
        options(pixel_threshold=0),
        422,
        "INVALID_PARAMETER",
        "pixel_threshold: Input should be greater",
    ),
    Bad(
        "threshold 1",
        options(pixel_threshold=1),
        422,
        "INVALID_PARAMETER",
        "pixel_threshold: Input should be less",
    ),
    Bad("score above 1", options(score_threshold=1.01), 422, "INVALID_PARAMETER", "score_threshold"),
    Bad(
        "infinite score",
        body(json.dumps(options(score_threshold=1)["json"])[:-2] + "1e999}"),
        422,
        "INVALID_PARAMETER",
        "score_threshold",
    ),
    Bad("score as list", options(score_threshold=[0.5]), 422, "INVALID_PARAMETER", "score_threshold"),
    Bad(
        "unknown method",
        options(method="magic"),
        422,
        "INVALID_PARAMETER",
        "method: Input should be 'components'",
    ),
    Bad("NaN in a form", form(score_threshold="nan"), 422, "INVALID_PARAMETER", "finite number"),
    Bad("empty option in a form", form(max_regions=""), 422, "INVALID_PARAMETER", "max_regions"),
    Bad(
        "option of another operation", options(min_confidence=0.5), 422, "INVALID_PARAMETER", "min_confidence"
    ),
    Bad(
        "negative confidence",
        options(min_confidence=-0.1),
        422,
        "INVALID_PARAMETER",
        "min_confidence",
        "/v1/text:read",
    ),
    Bad(
        "no polygons",
        options(polygons=[]),
        422,
        "INVALID_PARAMETER",
        "at least one quadrilateral",
        "/v1/text:read",
    ),
    Bad(
        "a triangle",
        options(polygons=[QUADRILATERAL[:3]]),
        422,
        "INVALID_PARAMETER",
        "polygons.0",
        "/v1/text:read",
    ),
    Bad(
        "a point in space",
        options(polygons=[[[1, 2, 3], *QUADRILATERAL[1:]]]),
        422,
        "INVALID_PARAMETER",
        "polygons.0.0",
        "/v1/text:read",
    ),
    Bad(
        "2001 polygons",
        options(polygons=[QUADRILATERAL] * 2001),
        422,
        "INVALID_PARAMETER",
        "2000",
        "/v1/text:read",
    ),
    Bad(
        "polygons and finding",
        options(polygons=[QUADRILATERAL], max_regions=3),
        422,
        "INVALID_PARAMETER",
        "polygons cannot be combined with max_regions",
        "/v1/text:read",
    ),
    Bad(
        "polygons that are no JSON",
        form(polygons="[[1"),
        422,
        "INVALID_PARAMETER",
        "must be a JSON list",
        "/v1/text:read",
    ),
    Bad(
        "deep polygons",
        form(polygons="[" * 50_000),
        422,
        "INVALID_PARAMETER",
        "must be a JSON list",
        "/v1/text:read",
    ),
    Bad(
        "unknown format",
        options(format="bmp"),
        422,
        "INVALID_PARAMETER",
        "'png' or 'float16'",
        "/v1/text:segment",
    ),
    # Headers, methods, paths.
    Bad(
        "impossible Accept",
        form(),
        406,
        "NOT_ACCEPTABLE",
        "offered: application/json",
        headers={"Accept": "text/html"},
    ),
    Bad(
        "presence as PNG",
        form(),
        406,
        "NOT_ACCEPTABLE",
        "offered: application/json",
        "/v1/text:presence",
        headers={"Accept": "image/png"},
    ),
    Bad(
        "timeout 0",
        form(),
        422,
        "INVALID_PARAMETER",
        "X-Request-Timeout-Ms",
        headers={"X-Request-Timeout-Ms": "0"},
    ),
    Bad(
        "timeout text",
        form(),
        422,
        "INVALID_PARAMETER",
        "valid int",
        headers={"X-Request-Timeout-Ms": "soon"},
    ),
    Bad(
        "timeout too long",
        form(),
        422,
        "INVALID_PARAMETER",
        "the limit is 30000",
        headers={"X-Request-Timeout-Ms": "9999999"},
    ),
    Bad("wrong method", {}, 405, "METHOD_NOT_ALLOWED", "the path takes POST", method="GET"),
    Bad("wrong method on a probe", {}, 405, "METHOD_NOT_ALLOWED", "the path takes GET", "/livez", "DELETE"),
    Bad("unknown operation", form(), 404, "NOT_FOUND", "there is no POST /v1/text:write", "/v1/text:write"),
    Bad("unknown path", {}, 404, "NOT_FOUND", "/openapi.json lists the paths", "/admin", "GET"),
    Bad("path escape", {}, 404, "NOT_FOUND", "there is no GET", "/v1/..%2f..%2fetc/passwd", "GET"),
    Bad(
        "path escape, encoded twice",
        {},
        404,
        "NOT_FOUND",
        "there is no GET",
        "/%252e%252e/%252e%252e/etc/passwd",
        "GET",
    ),
    Bad("NUL in the path", {}, 404, "NOT_FOUND", "there is no GET", "/v1/models%00", "GET"),
    Bad("trailing slash", {}, 404, "NOT_FOUND", "there is no GET /v1/models/", "/v1/models/", "GET"),
    # Huge bodies.
    Bad(
        "huge JSON",
        body('{"image": {"content": "' + "A" * 29_000_000 + '"}}'),
        413,
        "PAYLOAD_TOO_LARGE",
        "the limit is 28,",
    ),
    Bad(
        "huge file",
        form(b"\xff\xd8\xff" + b"0" * 22_000_000),
        413,
        "PAYLOAD_TOO_LARGE",
        "the limit is 21,233,664",
    ),
    Bad(
        "base64 of a file just too large",
        {"json": {"image": {"content": base64.b64encode(b"\xff\xd8\xff" + b"0" * 20_971_520).decode()}}},
        413,
        "PAYLOAD_TOO_LARGE",
        "the limit is 20,971,520",
    ),
    Bad("huge body without image", body(b" " * 2_000_000), 413, "PAYLOAD_TOO_LARGE", "1,048,576", "/v1/jobs"),
]


@pytest.mark.parametrize("bad", TABLE, ids=[bad.name for bad in TABLE])
def test_bad_input_is_refused_helpfully(
    gateway: RunningGateway, model_server: FakeTextServer, bad: Bad
) -> None:
    arguments = dict(bad.request)
    headers = {**arguments.pop("headers", {}), **bad.headers, "X-Request-Id": "bad-1"}
    response = gateway.client.request(bad.method, bad.path, headers=headers, **arguments)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["reason"]) == (bad.status, bad.reason), problem
    assert problem["status"] == bad.status
    assert problem["type"] == f"urn:interplay:problem:{bad.reason.lower().replace('_', '-')}"
    assert problem["title"]
    assert bad.text in problem["detail"]
    assert problem["request_id"] == response.headers["x-request-id"] == "bad-1"
    assert len(response.content) < 3000  # never the input echoed back at length
    for error in problem.get("errors", ()):
        assert error["field"] and error["message"]
    assert model_server.requests == []


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 40
    assert len({bad.name for bad in TABLE}) == len(TABLE)


def test_every_field_at_fault_is_listed(gateway: RunningGateway) -> None:
    response = gateway.client.post("/v1/text:detect", **options(max_regions=0, score_threshold=7))
    problem = response.json()
    assert {error["field"] for error in problem["errors"]} == {"max_regions", "score_threshold"}
    assert "(and 1 more)" in problem["detail"]
