"""``/v1/posts:classify`` end to end: HTTP in, gRPC out, and back, around a classifier of rules."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests.fake_hate import FakeHate
from tests.unit.gateway.harness import FakeTextServer, RunningGateway, Starter, picture

PHOTO = picture("PNG", (60, 40))
ENCODED = base64.b64encode(PHOTO).decode()
PATH = "/v1/posts:classify"


def classify(gateway: RunningGateway, *posts: Any, **fields: Any) -> Any:
    response = gateway.client.post(PATH, json={"posts": posts, **fields})
    assert response.status_code == 200, response.text
    return response.json()


def test_many_posts_each_with_its_answer(gateway: RunningGateway, hate_server: FakeHate) -> None:
    body = classify(
        gateway,
        {"text": "awful 😀 day", "words": True},
        {"text": "hello", "image": {"content": ENCODED}, "image_text": "awful", "region": True},
        threshold=0.65,
    )
    first, second = (result["answer"] for result in body["results"])
    assert (first["probability"], first["label"], first["interval"]) == (0.7, "hate", [0.65, 0.75])
    assert first["inputs"] == [{"input": "text", "alone": 0.7, "without": 0.2, "contribution": 0.5}]
    assert first["words"] == [
        {"input": "text", "start": 0, "end": 5, "weight": 0.5},
        {"input": "text", "start": 8, "end": 11, "weight": 0.0},
    ]
    assert first["region"] is None
    assert first["image_text"] == {"text": "", "source": None, "reason": ""}
    assert first["categories"]["sexist"] == pytest.approx(0.7 / 3, abs=1e-4)
    assert second["label"] == "not_hate"
    assert [effect["input"] for effect in second["inputs"]] == ["text", "image_text", "image"]
    total = second["baseline"] + sum(effect["contribution"] for effect in second["inputs"])
    assert total == pytest.approx(second["probability"], abs=1e-3)
    assert second["image_text"] == {"text": "awful", "source": "caller", "reason": ""}
    region = second["region"]
    assert len(region["weights"]) == 3 and len(region["weights"][0]) == 2
    with Image.open(io.BytesIO(base64.b64decode(region["overlay"]))) as overlay:
        assert overlay.size == (60, 40) == (region["width"], region["height"])
    assert body["threshold"] == 0.65 and body["model"]["name"] == "hate-classifier"
    assert body["timings"]["infer_ms"] > 0


def test_the_image_is_read_unless_the_caller_says_otherwise(
    gateway: RunningGateway, hate_server: FakeHate, model_server: FakeTextServer
) -> None:
    image = {"content": ENCODED}
    read, given, unread = (
        result["answer"]["image_text"]
        for result in classify(
            gateway,
            {"image": image},
            {"image": image, "image_text": ""},
            {"image": image, "read_image": False},
        )["results"]
    )
    assert read == {"text": "EXIT", "source": "read", "reason": ""}
    assert given == {"text": "", "source": "caller", "reason": ""}
    assert unread["source"] == "not_read" and "caller did not want" in unread["reason"]
    assert len(model_server.requests) == 1


def test_a_bad_post_does_not_spoil_the_others(gateway: RunningGateway) -> None:
    broken = base64.b64encode(PHOTO[:-40]).decode()
    results = classify(
        gateway,
        {"text": "awful"},
        {"text": "a" * 10_001},
        {},
        {"image": {"content": broken}},
        {"image": {"content": "%%%"}},
        {"image": {"uri": "https://example.com/a.png"}},
        {"text": "hello"},
    )["results"]
    assert results[0]["answer"]["probability"] == 0.7 and results[-1]["answer"]["probability"] == 0.2
    assert all(result["answer"] is None for result in results[1:-1])
    reasons = [(result["error"]["reason"], result["error"]["message"]) for result in results[1:-1]]
    assert reasons[0] == ("INVALID_PARAMETER", "text has 10001 characters; at most 10000 are taken")
    assert reasons[1] == ("INVALID_PARAMETER", "the post has neither text nor image")
    assert reasons[2][0] == "UNREADABLE_IMAGE"
    assert reasons[3][0] == "INVALID_PARAMETER" and "posts[4].image.content is not base64" in reasons[3][1]
    assert reasons[4][0] == "PERMISSION_DENIED"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"posts": []}, "posts"),
        ({"posts": [{"text": "a"}] * 65}, "64"),
        ({"posts": [{"text": "a"}], "threshold": 1.5}, "threshold"),
        ({"posts": [{"text": "a"}], "threshold": -0.1}, "threshold"),
        ({"posts": [{"text": 5}]}, "posts.0.text"),
        ({"posts": [{"txt": "a"}]}, "posts.0.txt"),
        ({"posts": [{"image": {"content": ENCODED}, "region": True}] * 9}, "9 posts ask for the region"),
    ],
)
def test_a_bad_request_is_refused(gateway: RunningGateway, body: Any, message: str) -> None:
    response = gateway.client.post(PATH, json=body)
    assert response.status_code == 422 and message in response.json()["detail"], response.text
    assert "error" not in response.json()


def test_a_form_with_one_post(gateway: RunningGateway) -> None:
    response = gateway.post_image(
        PATH, PHOTO, data={"text": "awful", "image_text": "", "words": "true", "threshold": "0.9"}
    )
    assert response.status_code == 200, response.text
    body = response.json()
    (result,) = body["results"]
    assert result["answer"]["label"] == "not_hate" and body["threshold"] == 0.9
    assert [word["weight"] for word in result["answer"]["words"]] == [0.5]
    alone = gateway.client.post(PATH, files={"text": (None, "awful")})
    assert alone.json()["results"][0]["answer"]["probability"] == 0.7


def test_the_region_as_a_picture(gateway: RunningGateway) -> None:
    accept = {"Accept": "image/png"}
    response = gateway.post_image(PATH, PHOTO, data={"region": "true"}, headers=accept)
    assert response.headers["content-type"] == "image/png"
    with Image.open(io.BytesIO(response.content)) as overlay:
        assert overlay.size == (60, 40)
    refused = gateway.post_image(PATH, PHOTO, headers=accept)
    assert refused.status_code == 422 and "region=true" in refused.json()["detail"]
    refused = gateway.client.post(PATH, json={"posts": [{"text": "a"}]}, headers=accept)
    assert refused.status_code == 422 and "form with one post" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "status", "message"),
    [
        ({"text": ""}, 422, "the post has neither text nor image"),
        ({"text": "a" * 10_001}, 422, "text has 10001 characters; at most 10000 are taken"),
        ({"text": "a", "region": "true"}, 422, "the post has none"),
        ({"text": "BOOM"}, 500, "failed on this input"),
    ],
)
def test_the_error_of_a_forms_post_is_the_requests(
    gateway: RunningGateway, fields: dict[str, str], status: int, message: str
) -> None:
    response = gateway.client.post(PATH, files={name: (None, value) for name, value in fields.items()})
    assert response.status_code == status and message in response.json()["detail"]


def test_no_text_is_logged(gateway: RunningGateway, capfd: Any, caplog: Any) -> None:
    caplog.set_level("DEBUG")
    classify(gateway, {"text": "unmistakable awful words"}, {"text": "BOOM"})
    gateway.client.post(PATH, json={"posts": [{"txt": "unmistakable"}]})
    captured = capfd.readouterr()
    assert "unmistakable" not in captured.out + captured.err + caplog.text


def test_a_server_that_is_down(start_gateway: Starter, free_port: int) -> None:
    running = start_gateway(capability_addresses={"hate_classifier": f"127.0.0.1:{free_port}"})
    assert running.client.post(PATH, json={"posts": [{"text": "a"}]}).status_code == 503
