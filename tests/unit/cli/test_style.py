"""`interplay style`: what is sent to the gateway, and where its pictures go."""

from __future__ import annotations

import base64
import email.policy
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import FakeGateway

TRANSFER, RENDER = "/v1/style:transfer", "/v1/style:render"
PICTURE = b"\x89PNG picture"  # the fake gateway's
STYLES = {
    "styles": [
        {
            "name": name,
            "domain": domain,
            "thumbnail": None,
            "model": {"name": f"style-{domain}", "version": "2", "digest": "sha256:0"},
            "end_to_end": True,
        }
        for name, domain in (("red-neon", "scene"), ("typewriter", "print"))
    ]
}
PROBLEM = {
    "type": "urn:interplay:problem:invalid-parameter",
    "title": "Invalid parameter",
    "status": 422,
    "detail": "there is no style 'plaid'",
    "reason": "INVALID_PARAMETER",
    "request_id": "x",
}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Two files that pass for photos; the current folder is an empty one beside them."""
    files = [tmp_path / "street.jpg", tmp_path / "shop.png"]
    for file in files:
        file.write_bytes(b"photo " + file.name.encode())
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return files


def sent(gateway: FakeGateway, number: int = -1) -> tuple[str, str, dict[str, str]]:
    """Path, Accept header and form fields of a request; a file is there by its name."""
    path, headers, body = gateway.asked[number]
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    fields = {}
    for part in form.iter_parts():  # type: ignore[attr-defined]
        name = part.get_param("name", header="content-disposition")
        fields[name] = part.get_filename() or part.get_payload(decode=True).decode()
    return path, headers["Accept"], fields


def results(*styles: str) -> dict[str, Any]:
    images = [
        {"style": style, "content": base64.b64encode(f"as {style}".encode()).decode()} for style in styles
    ]
    return {"images": images}


def test_list(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/styles?thumbnails=false", STYLES)
    ran = interplay("style", "list", "--url", gateway.url, "--api-key", "k1")
    assert ran.code == 0, ran.err
    assert [line.split() for line in ran.out.splitlines()] == [
        ["name", "domain", "model"],
        ["red-neon", "scene", "style-scene", "2"],
        ["typewriter", "print", "style-print", "2"],
    ]
    assert gateway.asked[0][1]["X-API-Key"] == "k1"


def test_list_as_json(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    gateway.answer_json("/v1/styles?thumbnails=false", STYLES)
    ran = interplay("style", "list", "--json", "--url", gateway.url)
    assert json.loads(ran.out) == STYLES["styles"]


def test_list_writes_a_sheet(interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path) -> None:
    gateway.answer_json("/v1/styles?thumbnails=false", STYLES)
    ran = interplay("style", "list", "--sheet", tmp_path / "styles.png", "--url", gateway.url)
    assert ran.code == 0 and "red-neon" in ran.out
    assert (tmp_path / "styles.png").read_bytes() == PICTURE
    path, headers, _ = gateway.asked[1]
    assert (path, headers["Accept"]) == ("/v1/styles", "image/png")
    for file in ("styles.jpg", "styles", "no/styles.png"):
        ran = interplay("style", "list", "--sheet", tmp_path / file, "--url", gateway.url)
        assert ran.code == 2 and "--sheet" in ran.err
    assert len(gateway.asked) == 2


def test_all_styles_together_are_one_mix(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "out.png"
    styles = ("--style", "red-neon:0.7", "--style", "gold:0.3")
    ran = interplay("style", "transfer", photos[0], *styles, "-o", file, "--url", gateway.url)
    assert ran.code == 0, ran.err
    assert file.read_bytes() == PICTURE
    assert ran.out.strip() == f"{photos[0]}: {file}"
    path, accept, fields = sent(gateway)
    assert (path, accept) == (TRANSFER, "image/png")
    assert fields == {"style": "red-neon:0.7,gold:0.3", "mode": "selective", "image": "street.jpg"}
    assert b"photo street.jpg" in gateway.asked[-1][2]


def test_options_reach_the_gateway(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path]
) -> None:
    command = ("style", "transfer", photos[0], "--style", "gold", "--url", gateway.url)
    assert interplay(*command, "--heat-floor", "0.25").code == 0
    assert sent(gateway)[2]["heat_floor"] == "0.25"
    polygons = ("--polygon", "1,2 30,2 30,12", "--polygon", "5,5 6.5,5 6,7 5,7")
    assert interplay(*command, "--mode", "polygons", *polygons).code == 0
    fields = sent(gateway)[2]
    assert fields["mode"] == "polygons" and "heat_floor" not in fields
    assert json.loads(fields["polygons"]) == [[[1, 2], [30, 2], [30, 12]], [[5, 5], [6.5, 5], [6, 7], [5, 7]]]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "png"), ("a.jpg", "jpeg"), ("a.JPEG", "jpeg"), ("a.webp", "webp")]
)
@pytest.mark.parametrize("command", ["transfer", "render"])
def test_the_suffix_decides_the_kind(
    interplay: Callable[..., Any],
    gateway: FakeGateway,
    photos: list[Path],
    tmp_path: Path,
    command: str,
    name: str,
    kind: str,
) -> None:
    what = photos[0] if command == "transfer" else "OPEN"
    ran = interplay("style", command, what, "--style", "gold", "-o", tmp_path / name, "--url", gateway.url)
    assert ran.code == 0, ran.err
    assert sent(gateway)[1] == f"image/{kind}" and (tmp_path / name).exists()


def test_without_output_results_go_to_the_current_folder(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path]
) -> None:
    ran = interplay("style", "transfer", *photos, "--style", "gold", "--url", gateway.url)
    assert ran.code == 0, ran.err
    assert sorted(file.name for file in Path.cwd().iterdir()) == ["shop.styled.png", "street.styled.png"]
    assert ran.out.splitlines() == [f"{photos[0]}: street.styled.png", f"{photos[1]}: shop.styled.png"]


def test_a_folder_is_made_for_several_photos(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "deep" / "styled"
    ran = interplay("style", "transfer", *photos, "--style", "gold", "-o", folder, "--url", gateway.url)
    assert ran.code == 0, ran.err
    assert sorted(file.name for file in folder.iterdir()) == ["shop.styled.png", "street.styled.png"]


def test_each_style_is_a_file_in_a_folder(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path], tmp_path: Path
) -> None:
    gateway.answer_json(TRANSFER, results("red-neon", "red-neon:0.5,gold:0.5", "../up"))
    styles = ("--style", "red-neon", "--style", "red-neon:0.5,gold:0.5", "--style", "../up")
    for folder in (tmp_path / "new", Path()):
        output = ("-o", folder) if folder.name else ()
        ran = interplay("style", "transfer", photos[0], *styles, "--each", *output, "--url", gateway.url)
        assert ran.code == 0, ran.err
        assert {file.name: file.read_text() for file in folder.iterdir()} == {
            "street.red-neon.png": "as red-neon",
            "street.red-neon_0.5_gold_0.5.png": "as red-neon:0.5,gold:0.5",
            "street..._up.png": "as ../up",
        }
    path, accept, fields = sent(gateway)
    assert (path, accept) == (TRANSFER, "application/json")
    assert json.loads(fields["styles"]) == ["red-neon", "red-neon:0.5,gold:0.5", "../up"]
    assert "style" not in fields


def test_each_style_in_a_picture_file_is_a_contact_sheet(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path], tmp_path: Path
) -> None:
    file = tmp_path / "sheet.webp"
    styles = ("--style", "red-neon", "--style", "gold")
    ran = interplay("style", "transfer", photos[0], *styles, "--each", "-o", file, "--url", gateway.url)
    assert ran.code == 0 and file.read_bytes() == PICTURE
    _, accept, fields = sent(gateway)
    assert accept == "image/webp" and json.loads(fields["styles"]) == ["red-neon", "gold"]


@pytest.mark.parametrize("each", [(), ("--each",)])
def test_a_photo_that_fails_does_not_stop_the_others(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path], each: tuple[str, ...]
) -> None:
    gateway.answer_json(TRANSFER, PROBLEM, status=422, problem=True)
    ran = interplay("style", "transfer", *photos, "--style", "plaid", *each, "--url", gateway.url)
    assert ran.code == 1
    assert ran.err.count("there is no style 'plaid'") == 2 and len(gateway.asked) == 2


def test_no_detection_server_ends_at_once(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path]
) -> None:
    detail = "the text detection server is not available"
    problem = {**PROBLEM, "status": 503, "reason": "UNAVAILABLE", "detail": detail}
    gateway.answer_json(TRANSFER, problem, status=503, problem=True)
    ran = interplay("style", "transfer", *photos, "--style", "gold", "--url", gateway.url)
    assert ran.code == 3 and detail in ran.err and len(gateway.asked) == 1


def test_render_words_alone(interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path]) -> None:
    styles = ("--style", "red-neon:0.5", "--style", "gold")
    ran = interplay("style", "render", "OPEN\nLATE", *styles, "--line-height", "96", "--url", gateway.url)
    assert (ran.code, ran.out.strip()) == (0, "words.png"), ran.err
    assert Path("words.png").read_bytes() == PICTURE
    path, accept, fields = sent(gateway)
    assert (path, accept) == (RENDER, "image/png")
    assert fields == {"text": "OPEN\nLATE", "style": "red-neon:0.5,gold", "line_height": "96"}
    assert gateway.asked[-1][1]["Content-Type"].startswith("multipart/form-data")


def test_render_into_a_photo(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path], tmp_path: Path
) -> None:
    region = ("--region", "1,2 30,2 30,12 1,12")
    file = tmp_path / "open.jpg"
    ran = interplay(
        "style", "render", "OPEN", "--photo", photos[0], *region, "-o", file, "--url", gateway.url
    )
    assert ran.code == 0 and file.read_bytes() == PICTURE
    _, accept, fields = sent(gateway)
    assert accept == "image/jpeg"
    assert json.loads(fields.pop("region")) == [[1, 2], [30, 2], [30, 12], [1, 12]]
    assert fields == {"text": "OPEN", "image": "street.jpg"}


def test_what_the_gateway_says_to_words_is_shown(
    interplay: Callable[..., Any], gateway: FakeGateway, photos: list[Path]
) -> None:
    gateway.answer_json(RENDER, PROBLEM, status=422, problem=True)
    ran = interplay("style", "render", "OPEN", "--style", "plaid", "--url", gateway.url)
    assert ran.code == 1 and "there is no style 'plaid'" in ran.err
    assert not Path("words.png").exists()


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("transfer", "PHOTO"), "--style"),
        (("transfer", "missing.jpg", "--style", "gold"), "missing.jpg"),
        (("transfer", "PHOTO", "--style", "gold", "-o", "out.gif"), "must end in .png, .jpg, .jpeg, .webp"),
        (("transfer", "PHOTO", "--style", "gold", "-o", "no/out.png"), "there is no folder no"),
        (("transfer", "PHOTO", "--style", "gold", "--mode", "magic"), "magic"),
        (("transfer", "PHOTO", "--style", "gold", "--polygon", "1,2 3"), "must be points such as"),
        (("transfer", "PHOTO", "--style", "gold", "--polygon", "1,2 3,x"), "'1,2 3,x'"),
        (("transfer", "PHOTO", "--style", "gold", "--polygon", ""), "must be points such as"),
        (("render", "OPEN", "--style", "gold", "-o", "words"), "must end in .png"),
        (("render", "OPEN", "--style", "gold", "--region", "1;2"), "must be points such as"),
        (("render", "OPEN", "--photo", "missing.jpg"), "missing.jpg"),
        (("render",), "text"),
    ],
)
def test_wrong_usage_is_2_before_anything_is_asked(
    interplay: Callable[..., Any],
    gateway: FakeGateway,
    photos: list[Path],
    arguments: tuple[str, ...],
    complaint: str,
) -> None:
    given = (photos[0] if argument == "PHOTO" else argument for argument in arguments)
    ran = interplay("style", *given, "--url", gateway.url)
    assert ran.code == 2 and complaint in ran.err
    assert gateway.asked == []


def test_it_starts_without_numpy_and_grpc() -> None:
    program = (
        "import sys, interplay.cli.style, interplay.cli.text\n"
        "print([m for m in ('grpc', 'numpy', 'PIL', 'torch', 'fastapi', 'gateway') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
