"""``/v1/moderations``, asked by OpenAI's own client."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import openai
import pytest

from gateway.schemas.moderations import CATEGORIES
from interplay.api_keys import create_api_key
from tests.fake_hate import FakeHate
from tests.unit.gateway.harness import FakeTextServer, RunningGateway, Starter, picture

DATA_URL = "data:image/png;base64," + base64.b64encode(picture("PNG", (60, 40))).decode()
IMAGE = {"type": "image_url", "image_url": {"url": DATA_URL}}


def openai_client(gateway: RunningGateway, key: str = "unused") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0)


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


@pytest.fixture
def moderate(gateway: RunningGateway) -> Any:
    """Function that asks as OpenAI's client does."""

    def ask(given: Any, **fields: Any) -> Any:
        with openai_client(gateway) as client:
            return client.moderations.create(input=given, **fields)

    return ask


def test_a_string(moderate: Any) -> None:
    answer = moderate("awful", model="omni-moderation-latest")
    assert answer.id.startswith("modr-") and answer.model == "hate-classifier-7"
    (result,) = answer.results
    assert result.flagged and result.categories.hate and result.category_scores.hate == pytest.approx(0.7)
    assert result.category_applied_input_types.hate == ["text"]
    for values, empty in (
        (result.categories, False),
        (result.category_scores, 0.0),
        (result.category_applied_input_types, []),
    ):
        found = values.model_dump(by_alias=True)
        assert set(found) == set(CATEGORIES)
        assert all(value == empty for name, value in found.items() if name != "hate")


def test_a_list_of_strings_has_a_result_each(moderate: Any, hate_server: FakeHate) -> None:
    results = moderate(["awful", "hello", "kind 😀"]).results
    assert [result.flagged for result in results] == [True, False, False]
    assert [round(result.category_scores.hate, 4) for result in results] == [0.7, 0.2, 0.1]
    assert results[2].category_applied_input_types.hate == [], "nothing drove the score up"


def test_parts_are_one_post(moderate: Any, hate_server: FakeHate, model_server: FakeTextServer) -> None:
    (result,) = moderate([text_part("awful"), IMAGE, text_part("day")]).results
    item = hate_server.classifier.items[-1]
    assert item.text == "awful\nday" and item.image is not None and item.image.shape == (40, 60, 3)
    assert item.image_text == "EXIT", "read by the text server"
    assert result.category_applied_input_types.hate == ["text", "image"]
    (result,) = moderate([IMAGE]).results
    assert result.category_applied_input_types.hate == ["image"] and not result.flagged


@pytest.mark.parametrize(
    ("given", "message", "param"),
    [
        (["hello", ""], r"input\[1\]: the post has neither text nor image", "input[1]"),
        ("a" * 10_001, "text has 10001 characters; at most 10000", "input"),
        (["a"] * 65, "input has 65 strings; at most 64", "input"),
        ([], "input must be a string, a list of strings or a list of parts", "input"),
        ([IMAGE, IMAGE], "more than one image; one is taken", "input[1]"),
        (["a", text_part("b")], r"input\[0\] must be .*strings and parts do not go together", "input[0]"),
        (
            [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}],
            r"remote URL \(https:…\), and remote images are not fetched",
            "input[0].image_url.url",
        ),
        (
            [{"type": "image_url", "image_url": {"url": "data:image/png;base64,%%"}}],
            "is not base64",
            "input[0].image_url.url",
        ),
        ([{"type": "image_url", "image_url": {"url": "data:text/plain,a"}}], "must be data:image/", None),
        ([{"type": "image_url", "image_url": {"url": DATA_URL[:-60]}}], "cannot be decoded|not base64", None),
    ],
)
def test_what_is_wrong_comes_as_the_client_expects(
    moderate: Any, given: Any, message: str, param: str | None
) -> None:
    with pytest.raises(openai.BadRequestError, match=message) as caught:
        moderate(given)
    assert caught.value.type == "invalid_request_error"
    assert param is None or caught.value.param == param
    assert caught.value.body["message"] and caught.value.code


def test_an_unknown_model_is_refused(moderate: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="omni-moderation-latest"):
        moderate("hello", model="gpt-4")


def test_a_surrogate_alone_is_refused(gateway: RunningGateway) -> None:
    response = gateway.client.post(
        "/v1/moderations", content=b'{"input": "\\ud800"}', headers={"Content-Type": "application/json"}
    )
    assert response.status_code == 400 and "half of a surrogate pair" in response.json()["error"]["message"]
    assert response.json()["reason"] == "INVALID_PARAMETER", "a problem, too"


def test_keys_as_the_client_sends_them(start_gateway: Starter, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret = create_api_key(path, "infer", ["infer"])
    running = start_gateway(api_keys_file=path)
    with openai_client(running, secret) as client:
        assert client.moderations.create(input="awful").results[0].flagged
    with (
        openai_client(running, "wrong") as client,
        pytest.raises(openai.AuthenticationError, match="not valid") as caught,
    ):
        client.moderations.create(input="awful")
    assert caught.value.code == "invalid_api_key"
    jobs = create_api_key(path, "jobs", ["jobs"])
    with (
        openai_client(running, jobs) as client,
        pytest.raises(openai.PermissionDeniedError, match="scope 'infer'"),
    ):
        client.moderations.create(input="awful")


def test_a_server_that_is_down(start_gateway: Starter, free_port: int) -> None:
    running = start_gateway(capability_addresses={"hate_classifier": f"127.0.0.1:{free_port}"})
    with openai_client(running) as client, pytest.raises(openai.InternalServerError) as caught:
        client.moderations.create(input="awful")
    assert caught.value.status_code == 503 and caught.value.type == "server_error"


def test_a_large_image_is_taken(moderate: Any) -> None:
    """More than the limit of bodies without images."""
    noise = picture("PNG", (1500, 1200), compress_level=0)
    url = "data:image/png;base64," + base64.b64encode(noise).decode()
    part = {"type": "image_url", "image_url": {"url": url}}
    assert len(url) > 5_000_000 and not moderate([part]).results[0].flagged
