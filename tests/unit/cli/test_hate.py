"""`interplay hate classify`: what is sent to the gateway, and what people see of the answer."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.cli.conftest import FakeGateway

PATH = "/v1/posts:classify"
TEXT = "You 😀 [bold]awful[/bold] person"
ANSWER: dict[str, Any] = {
    "probability": 0.7312,
    "interval": [0.69, 0.78],
    "label": "hate",
    "categories": {"racist": 0.1, "sexist": 0.5, "homophobe": 0.05, "religion": 0.01, "other": 0.07},
    "baseline": 0.4,
    "inputs": [
        {"input": "text", "alone": 0.8, "without": 0.3, "contribution": 0.3812},
        {"input": "image", "alone": 0.35, "without": 0.78, "contribution": -0.05},
    ],
    "words": [
        {"input": "text", "start": 0, "end": 3, "weight": 0.0},
        {"input": "text", "start": 12, "end": 17, "weight": 0.41},
        {"input": "text", "start": 25, "end": 31, "weight": -0.02},
    ],
    "region": None,
    "image_text": {"text": "", "source": "not_read", "reason": "the text detection server is down"},
}


def body_of(*outcomes: Any, threshold: float = 0.5) -> dict[str, Any]:
    """The gateway's answer: dicts are answers, pairs are errors."""
    results = [
        {"answer": outcome, "error": None}
        if isinstance(outcome, dict)
        else {"answer": None, "error": {"reason": outcome[0], "message": outcome[1]}}
        for outcome in outcomes
    ]
    return {"results": results, "threshold": threshold, "model": {"name": "hate-classifier"}}


def sent(gateway: FakeGateway) -> Any:
    """The last request's body."""
    path, _, content = gateway.asked[-1]
    assert path == PATH
    return json.loads(content)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A file that passes for a photo."""
    file = tmp_path / "p.jpg"
    file.write_bytes(b"photo")
    return file


def test_a_post_with_its_reasons(interplay: Callable[..., Any], gateway: FakeGateway, photo: Path) -> None:
    gateway.answer_json(PATH, body_of(ANSWER))
    ran = interplay(
        "hate",
        "classify",
        "--text",
        TEXT,
        "--image",
        photo,
        "--words",
        "--threshold",
        0.5,
        "--url",
        gateway.url,
    )
    assert ran.code == 0, ran.err
    assert sent(gateway) == {
        "posts": [
            {
                "text": TEXT,
                "words": True,
                "read_image": True,
                "image": {"content": base64.b64encode(b"photo").decode()},
            }
        ],
        "threshold": 0.5,
    }
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[0] == "0.731 hate (threshold 0.5; interval 0.690 to 0.780)"
    assert "baseline 0.400" in lines
    assert "text │████████████ +0.381 0.800 0.300" in lines
    assert "image ██│ -0.050 0.350 0.780" in lines
    assert "kinds: sexist 0.500, racist 0.100, other 0.070, homophobe 0.050, religion 0.010" in lines
    assert "the image was not read: the text detection server is down" in lines
    assert f"text: {TEXT}" in lines
    assert "awful +0.410, person -0.020, You +0.000" in lines


def test_words_of_the_image_are_given_or_need_no_reading(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path
) -> None:
    read = {
        **ANSWER,
        "label": "not_hate",
        "words": [],
        "image_text": {"text": "STOP", "source": "read", "reason": ""},
    }
    gateway.answer_json(PATH, body_of(read))
    ran = interplay(
        "hate", "classify", "--image", photo, "--image-text", "", "--no-read", "--url", gateway.url
    )
    assert ran.code == 0 and "0.731 not hate" in ran.out and "read in the image: STOP" in ran.out
    (post,) = sent(gateway)["posts"]
    assert post["image_text"] == "" and post["read_image"] is False and "threshold" not in sent(gateway)


def test_the_region_goes_to_a_file(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path, tmp_path: Path
) -> None:
    overlay = base64.b64encode(b"\x89PNG overlay").decode()
    region = {"overlay": overlay, "width": 4, "height": 3, "weights": [[0.1]]}
    gateway.answer_json(PATH, body_of({**ANSWER, "region": region}))
    out = tmp_path / "why.png"
    ran = interplay("hate", "classify", "--image", photo, "--region", out, "--json", "--url", gateway.url)
    assert ran.code == 0 and out.read_bytes() == b"\x89PNG overlay" and sent(gateway)["posts"][0]["region"]
    printed = json.loads(ran.out)
    assert printed["region"] == {"width": 4, "height": 3, "weights": [[0.1]]} and printed["threshold"] == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give --text, --image or --file"),
        (["--text", "a", "--region", "why.png"], "give --image"),
        (["--file", __file__, "--text", "a"], "--file goes without"),
        (["--image", "no.jpg"], "does not exist"),
    ],
)
def test_wrong_usage(
    interplay: Callable[..., Any], gateway: FakeGateway, arguments: list[str], message: str
) -> None:
    ran = interplay("hate", "classify", *arguments, "--url", gateway.url)
    assert ran.code == 2 and message in " ".join(ran.err.replace("│", " ").split()) and not gateway.asked


def test_a_post_that_cannot_be_judged(interplay: Callable[..., Any], gateway: FakeGateway) -> None:
    message = "text has 10001 characters; at most 10000 are taken"
    gateway.answer_json(PATH, body_of(("INVALID_PARAMETER", message)))
    ran = interplay("hate", "classify", "--text", "a", "--url", gateway.url)
    assert ran.code == 1 and message in ran.err and not ran.out


def test_a_file_of_posts(
    interplay: Callable[..., Any], gateway: FakeGateway, photo: Path, tmp_path: Path
) -> None:
    file = tmp_path / "posts.jsonl"
    lines = [
        '{"id": 7, "text": "one"}',
        "",
        "[1]",
        '{"text": "\\ud800"}',
        '{"id": "gone", "image": "no.jpg"}',
    ]
    file.write_text("\n".join([*lines, '{"id": "p", "image": "p.jpg", "image_text": "x"}']))
    gateway.answer_json(PATH, body_of(ANSWER, ("UNREADABLE_IMAGE", "broken")))
    ran = interplay("hate", "classify", "--file", file, "--url", gateway.url)
    assert ran.code == 1
    assert [" ".join(line.split()) for line in ran.out.splitlines()] == ["0.731 hate 7"]
    assert ran.err.splitlines() == [
        "error: line 3: is not a post as a JSON object",
        "error: line 4: is not a post as a JSON object",
        "error: gone: the image cannot be read: No such file or directory",
        "error: p: broken",
    ]
    posts = sent(gateway)["posts"]
    assert [post["text"] for post in posts] == ["one", ""] and posts[1]["image_text"] == "x"


def test_a_file_as_json_in_portions(
    interplay: Callable[..., Any], gateway: FakeGateway, tmp_path: Path
) -> None:
    file = tmp_path / "posts.jsonl"
    file.write_text("".join(f'{{"text": "post {number}"}}\n' for number in range(64)))
    gateway.answer_json(PATH, body_of(*[ANSWER] * 32))
    ran = interplay("hate", "classify", "--file", file, "--json", "--url", gateway.url)
    assert ran.code == 0 and [len(json.loads(body)["posts"]) for _, _, body in gateway.asked] == [32, 32]
    printed = [json.loads(line) for line in ran.out.splitlines()]
    assert [line["id"] for line in printed] == [f"line {number + 1}" for number in range(64)]
    assert printed[0]["probability"] == 0.7312


def test_a_gateway_that_is_not_there(interplay: Callable[..., Any], free_port: int) -> None:
    ran = interplay("hate", "classify", "--text", "a", "--url", f"http://127.0.0.1:{free_port}")
    assert ran.code == 3 and "is `interplay up` running?" in ran.err
