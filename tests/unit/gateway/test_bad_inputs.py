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

from tests.fake_style_transfer import FakeStyleTransfer
from tests.unit.gateway.harness import FakeTextServer, RunningGateway, picture

PHOTO = picture()
BASE64 = base64.b64encode(PHOTO).decode()
QUADRILATERAL = [[1, 2], [30, 2], [30, 12], [1, 12]]
TRANSFER, RENDER = "/v1/style:transfer", "/v1/style:render"


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
    at: str = ""  # the field at fault; any if empty


def wrong(name: str, request: dict[str, Any], at: str, text: str, path: str = TRANSFER) -> Bad:
    """A request about styles with a bad parameter."""
    return Bad(name, request, 422, "INVALID_PARAMETER", text, path, at=at)


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
    # Styles.
    wrong("no style", form(), "style", "exactly one of style and styles"),
    wrong("style and styles", options(style="a", styles=["b"]), "style", "both are there"),
    wrong("a style that is a number", options(style=5), "style", "valid string"),
    wrong(
        "a style without a name",
        form(style=""),
        "style",
        "name of a style has 0 characters; it must have 1 to 64",
    ),
    wrong("a mix with a hole", options(style="a,,b"), "style", "has 0 characters"),
    wrong("a style with a long name", options(style="a" * 65), "style", "has 65 characters"),
    wrong("a long mix", options(style="a" * 1001), "style", "at most 1000 characters"),
    wrong("nine parts", options(style=",".join("abcdefghi")), "style", "has 9 parts; the limit is 8"),
    wrong("a style twice in a mix", options(style="a:0.5, a"), "style", "'a' is there more than once"),
    wrong(
        "a weight that is a word",
        options(style="a:much"),
        "style",
        "the weight of 'a' is 'much', which is no number",
    ),
    wrong("no weight behind the colon", options(style="a:"), "style", "which is no number"),
    wrong("a weight above 4", options(style="a:4.5"), "style", "the weight of 'a' is 4.5; it must be 0 to 4"),
    wrong("a negative weight", options(style="a:-1"), "style", "is -1; it must be 0 to 4"),
    wrong("a weight that is NaN", options(style="a:nan"), "style", "is nan; it must be"),
    wrong("an infinite weight", options(style="a:1e999"), "style", "is inf; it must be"),
    wrong(
        "a lone surrogate as style",
        body('{"image": {"content": "AAAA"}, "style": "\\ud800"}'),
        "style",
        "unable to parse",
    ),
    wrong("no styles", options(styles=[]), "styles", "at least 1 item"),
    wrong("17 styles", options(styles=[f"s{i}" for i in range(17)]), "styles", "at most 16 items"),
    wrong("a bad mix among good ones", options(styles=["a", "b:9"]), "styles.1", "the weight of 'b' is 9"),
    wrong("styles as text", options(styles="a,b"), "styles", "must be a JSON list"),
    wrong("styles that are no JSON", form(styles="a,b"), "styles", "must be a JSON list"),
    wrong("styles that are no list", form(styles='"a"'), "styles", "valid list"),
    wrong("deep styles", form(styles="[" * 50_000), "styles", "must be a JSON list"),
    wrong(
        "unknown mode",
        options(style="a", mode="magic"),
        "mode",
        "'whole', 'selective', 'end_to_end' or 'polygons'",
    ),
    wrong("heat floor 1", options(style="a", heat_floor=1), "heat_floor", "less than 1"),
    wrong(
        "negative heat floor", options(style="a", heat_floor=-0.1), "heat_floor", "greater than or equal to 0"
    ),
    wrong("NaN heat floor", form(style="a", heat_floor="nan"), "heat_floor", "finite number"),
    wrong(
        "heat floor of another mode",
        options(style="a", mode="whole", heat_floor=0.5),
        "heat_floor",
        "heat_floor is for the mode selective; the mode is whole",
    ),
    wrong(
        "polygons of another mode",
        options(style="a", polygons=[QUADRILATERAL]),
        "polygons",
        "the mode is selective",
    ),
    wrong(
        "mode polygons without",
        options(style="a", mode="polygons"),
        "polygons",
        "the mode polygons needs polygons",
    ),
    wrong(
        "mode polygons with none",
        options(style="a", mode="polygons", polygons=[]),
        "polygons",
        "at least 1 item",
    ),
    wrong(
        "two corners",
        options(style="a", mode="polygons", polygons=[QUADRILATERAL[:2]]),
        "polygons.0",
        "at least 3 items",
    ),
    wrong(
        "65 corners",
        options(style="a", mode="polygons", polygons=[[[1, 2]] * 65]),
        "polygons.0",
        "at most 64 items",
    ),
    wrong(
        "201 areas",
        options(style="a", mode="polygons", polygons=[QUADRILATERAL] * 201),
        "polygons",
        "at most 200 items",
    ),
    wrong(
        "a corner in space",
        options(style="a", mode="polygons", polygons=[[[1, 2, 3], [1, 2], [3, 4]]]),
        "polygons.0.0",
        "at most 2 items",
    ),
    wrong(
        "areas that are no JSON",
        form(style="a", mode="polygons", polygons="1,2 3,4"),
        "polygons",
        "must be a JSON list",
    ),
    wrong("quality 0", options(style="a", quality=0), "quality", "greater than or equal to 1"),
    wrong("quality 101", form(style="a", quality="101"), "quality", "less than or equal to 100"),
    wrong("unknown picture format", options(style="a", format="gif"), "format", "'png', 'jpeg' or 'webp'"),
    wrong(
        "unknown option of a style",
        options(style="a", strength=1),
        "strength",
        "unknown field 'strength'; known: image, format",
    ),
    wrong("a style without image", {"json": {"style": "a"}}, "image", "image must be"),
    Bad(
        "restyled text",
        form(b"hello", style="a"),
        415,
        "UNSUPPORTED_MEDIA",
        "not an image",
        TRANSFER,
        at="image",
    ),
    Bad(
        "restyled as HTML",
        form(style="a"),
        406,
        "NOT_ACCEPTABLE",
        "image/webp, application/json, multipart/mixed",
        TRANSFER,
        headers={"Accept": "text/html"},
    ),
    wrong("no words", {"json": {"style": "a"}}, "text", "text: Field required", RENDER),
    wrong("empty words", {"json": {"text": "", "style": "a"}}, "text", "at least 1 character", RENDER),
    wrong(
        "blank words",
        {"json": {"text": " \n ", "style": "a"}},
        "text",
        "there must be something to draw",
        RENDER,
    ),
    wrong(
        "81 characters", {"json": {"text": "a" * 81, "style": "a"}}, "text", "at most 80 characters", RENDER
    ),
    wrong(
        "five lines",
        {"json": {"text": "a\nb\nc\nd\ne", "style": "a"}},
        "text",
        "there are 5 lines; the limit is 4",
        RENDER,
    ),
    wrong(
        "a bell", {"json": {"text": "a\x07b", "style": "a"}}, "text", "the control character U+0007", RENDER
    ),
    wrong("a tab", {"json": {"text": "a\tb", "style": "a"}}, "text", "the control character U+0009", RENDER),
    wrong("words that are a number", {"json": {"text": 5, "style": "a"}}, "text", "valid string", RENDER),
    wrong(
        "words without style",
        {"json": {"text": "A"}},
        "style",
        "style is needed where there is no image",
        RENDER,
    ),
    wrong(
        "words without style in a form", {"files": {"text": (None, "A")}}, "style", "style is needed", RENDER
    ),
    wrong(
        "a region of no image",
        {"json": {"text": "A", "style": "a", "region": QUADRILATERAL}},
        "region",
        "region is a place in an image",
        RENDER,
    ),
    wrong(
        "a line height in an image",
        options(text="A", line_height=32),
        "line_height",
        "line_height is for words without an image",
        RENDER,
    ),
    wrong(
        "a low line",
        {"json": {"text": "A", "style": "a", "line_height": 15}},
        "line_height",
        "greater than or equal to 16",
        RENDER,
    ),
    wrong(
        "a high line",
        {"json": {"text": "A", "style": "a", "line_height": 257}},
        "line_height",
        "less than or equal to 256",
        RENDER,
    ),
    wrong(
        "a region of three corners",
        options(text="A", region=QUADRILATERAL[:3]),
        "region",
        "at least 4 items",
        RENDER,
    ),
    wrong(
        "a region that is no JSON", form(text="A", region="1,2 3,4"), "region", "must be a JSON list", RENDER
    ),
    wrong("a mix of nothing", {"json": {"text": "A", "style": ""}}, "style", "has 0 characters", RENDER),
    wrong(
        "an optional image that is a string",
        {"json": {"text": "A", "style": "a", "image": BASE64}},
        "image",
        "image must be",
        RENDER,
    ),
    wrong(
        "an optional image that is empty",
        {"json": {"text": "A", "style": "a", "image": {}}},
        "image",
        "exactly one of content and uri",
        RENDER,
    ),
    wrong(
        "an optional image that is text",
        {"files": {"text": (None, "A"), "image": (None, "photo.jpg")}},
        "image",
        "curl -F image=@photo.jpg",
        RENDER,
    ),
    wrong(
        "an optional image in another field",
        form(name="photo", text="A", style="a"),
        "photo",
        "unknown field 'photo'; known: image, ",
        RENDER,
    ),
    Bad(
        "an optional image of no bytes",
        form(b"", text="A"),
        415,
        "UNSUPPORTED_MEDIA",
        "empty (0 bytes)",
        RENDER,
        at="image",
    ),
    Bad(
        "a URL-encoded form of words",
        {"data": {"text": "A", "style": "a"}},
        415,
        "UNSUPPORTED_MEDIA",
        "x-www-form-urlencoded",
        RENDER,
        at="Content-Type",
    ),
    Bad(
        "words as multipart",
        {"json": {"text": "A", "style": "a"}},
        406,
        "NOT_ACCEPTABLE",
        "image/webp, application/json",
        RENDER,
        headers={"Accept": "multipart/mixed"},
    ),
    Bad(
        "the styles as JPEG",
        {},
        406,
        "NOT_ACCEPTABLE",
        "offered: application/json, image/png",
        "/v1/styles",
        method="GET",
        headers={"Accept": "image/jpeg"},
    ),
    Bad(
        "thumbnails of no kind",
        {"params": {"thumbnails": "some"}},
        422,
        "INVALID_PARAMETER",
        "valid boolean",
        "/v1/styles",
        at="thumbnails",
        method="GET",
    ),
    Bad(
        "a sheet without thumbnails",
        {"params": {"thumbnails": "false"}},
        422,
        "INVALID_PARAMETER",
        "needs Accept: application/json",
        "/v1/styles",
        at="thumbnails",
        method="GET",
        headers={"Accept": "image/png"},
    ),
    Bad("posted styles", {}, 405, "METHOD_NOT_ALLOWED", "the path takes GET", "/v1/styles"),
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
        "the limit is 60000",
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
    gateway: RunningGateway, model_server: FakeTextServer, style_server: FakeStyleTransfer, bad: Bad
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
    if bad.at:
        assert problem["errors"][0]["field"] == bad.at
    assert model_server.requests == style_server.requests == []


def test_the_table_is_long_enough() -> None:
    assert len(TABLE) >= 40
    assert len({bad.name for bad in TABLE}) == len(TABLE)


def test_every_field_at_fault_is_listed(gateway: RunningGateway) -> None:
    response = gateway.client.post("/v1/text:detect", **options(max_regions=0, score_threshold=7))
    problem = response.json()
    assert {error["field"] for error in problem["errors"]} == {"max_regions", "score_threshold"}
    assert "(and 1 more)" in problem["detail"]
