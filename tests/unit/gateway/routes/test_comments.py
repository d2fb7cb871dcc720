"""``/v1alpha1/comments:analyze``, asked by Google's own client."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.schemas.comments import sentences
from interplay.api_keys import create_api_key
from tests.fake_hate import FakeHate
from tests.unit.gateway.harness import RunningGateway, Starter

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from googleapiclient import discovery
    from googleapiclient.errors import HttpError

PATH = "/v1alpha1/comments:analyze"
TEXT = "You are kind.  What an awful 😀 day!\nBye"


def google_client(gateway: RunningGateway, key: str | None = None) -> Any:
    return discovery.build(
        "commentanalyzer",
        "v1alpha1",
        developerKey=key,
        discoveryServiceUrl=f"{gateway.url}/$discovery/rest?version=v1alpha1",
        static_discovery=False,
        credentials=None,
    )


@pytest.fixture
def analyze(gateway: RunningGateway) -> Iterator[Any]:
    """Function that asks as Perspective's documentation tells Python programs to."""
    client = google_client(gateway, "unused")

    def ask(text: str, attributes: Any = None, **fields: Any) -> Any:
        body = {"comment": {"text": text}, "requestedAttributes": attributes or {"IDENTITY_ATTACK": {}}}
        return client.comments().analyze(body={**body, **fields}).execute()

    yield ask
    client.close()


def error_of(caught: pytest.ExceptionInfo[Any]) -> Any:
    assert caught.value.resp.status == 400
    return json.loads(caught.value.content)["error"]


def test_a_comment(analyze: Any) -> None:
    answer = analyze("awful", languages=["en"], doNotStore=True, clientToken="mine", sessionId="s")
    score = {"value": pytest.approx(0.7), "type": "PROBABILITY"}
    assert answer == {
        "attributeScores": {
            "IDENTITY_ATTACK": {
                "summaryScore": score,
                "spanScores": [{"begin": 0, "end": 5, "score": score}],
            }
        },
        "languages": ["en"],
        "clientToken": "mine",
    }


def test_spans_are_sentences_each_judged_by_itself(analyze: Any, hate_server: FakeHate) -> None:
    scores = analyze(TEXT, spanAnnotations=True)["attributeScores"]["IDENTITY_ATTACK"]
    assert scores["summaryScore"]["value"] == pytest.approx(0.6)
    spans = [(TEXT[span["begin"] : span["end"]], span["score"]["value"]) for span in scores["spanScores"]]
    assert spans == [
        ("You are kind.", pytest.approx(0.1)),
        ("What an awful 😀 day!", pytest.approx(0.7)),
        ("Bye", pytest.approx(0.2)),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ["a"]),
        ("  a. b? c!  ", ["a.", "b?", "c!"]),
        ("version 1.5 is out... Yes", ["version 1.5 is out...", "Yes"]),
        ("今日は。はい。", ["今日は。", "はい。"]),
        ("a\n\nb\r\nc", ["a", "b", "c"]),
        ("?!", ["?!"]),
        ("שלום. עולם", ["שלום.", "עולם"]),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[begin:end] for begin, end in sentences(text, 63)] == expected


def test_the_last_span_holds_what_is_too_much(analyze: Any) -> None:
    text = "Hi. " * 70 + "awful"
    assert [text[b:e] for b, e in sentences(text, 2)] == ["Hi.", text[4:]]
    spans = analyze(text, spanAnnotations=True)["attributeScores"]["IDENTITY_ATTACK"]["spanScores"]
    assert len(spans) == 63 and spans[-1]["end"] == len(text)
    assert spans[-1]["score"]["value"] == pytest.approx(0.7)


@pytest.mark.parametrize(("threshold", "shown"), [(0.7, True), (0.71, False)])
def test_low_scores_are_left_out_where_wanted(analyze: Any, threshold: float, shown: bool) -> None:
    attributes = {"IDENTITY_ATTACK": {"scoreType": "PROBABILITY", "scoreThreshold": threshold}}
    assert bool(analyze("awful", attributes)["attributeScores"]) == shown


def test_attributes_that_are_not_judged_are_refused_or_dropped(analyze: Any) -> None:
    both = {"TOXICITY": {}, "IDENTITY_ATTACK": {}}
    with pytest.raises(HttpError, match="TOXICITY is not judged here; supported: IDENTITY_ATTACK") as caught:
        analyze("awful", both)
    assert error_of(caught)["status"] == "INVALID_ARGUMENT"
    assert list(analyze("awful", both, dropUnsupportedAttributes=True)["attributeScores"]) == [
        "IDENTITY_ATTACK"
    ]
    assert analyze("awful", {"TOXICITY": {}}, dropUnsupportedAttributes=True)["attributeScores"] == {}


def test_other_languages_are_refused(analyze: Any) -> None:
    with pytest.raises(HttpError, match="does not support request languages: es, zh") as caught:
        analyze("hola", languages=["en", "es", "zh"])
    (detail,) = error_of(caught)["details"]
    assert detail["errorType"] == "LANGUAGE_NOT_SUPPORTED_BY_ATTRIBUTE"
    assert analyze("hello", languages=["en-GB"])["languages"] == ["en-GB"]
    assert analyze("hola", languages=["es"], dropUnsupportedAttributes=True)["attributeScores"] == {}


@pytest.mark.parametrize(
    ("text", "error_type", "message"),
    [
        ("", "COMMENT_EMPTY", "must be non-empty"),
        (" \n", "COMMENT_EMPTY", "must be non-empty"),
        ("a" * 10_001, "COMMENT_TOO_LONG", "has 10001 characters; at most 10000 are taken"),
    ],
)
def test_comments_that_cannot_be_judged(analyze: Any, text: str, error_type: str, message: str) -> None:
    with pytest.raises(HttpError, match=message) as caught:
        analyze(text)
    error = error_of(caught)
    assert error["code"] == 400 and error["details"][0]["errorType"] == error_type


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"comment": {"text": "a"}},
        {"comment": {"text": "a"}, "requestedAttributes": {}},
        {"comment": {"text": "a", "type": "HTML"}, "requestedAttributes": {"IDENTITY_ATTACK": {}}},
        {"comment": {"text": "a"}, "requestedAttributes": {"IDENTITY_ATTACK": {"scoreType": "RANK"}}},
        {"comment": {"text": "a"}, "requestedAttributes": {"IDENTITY_ATTACK": {}}, "what": 1},
    ],
)
def test_bad_bodies(gateway: RunningGateway, body: Any) -> None:
    response = gateway.client.post(PATH, json=body)
    error = response.json()["error"]
    assert response.status_code == error["code"] == response.json()["status"] == 400
    assert error["status"] == "INVALID_ARGUMENT"


def test_a_request_as_the_documentation_shows_it(gateway: RunningGateway) -> None:
    """curl's form: the key in the query, the context and all optional fields there."""
    body = {
        "comment": {"text": "what kind of awful name is foo?", "type": "PLAIN_TEXT"},
        "context": {"entries": [{"text": "off-topic", "type": "PLAIN_TEXT"}]},
        "languages": ["en"],
        "requestedAttributes": {"IDENTITY_ATTACK": {}},
        "spanAnnotations": False,
        "doNotStore": True,
        "communityId": "here",
    }
    response = gateway.client.post(f"{PATH}?key=AIza&alt=json", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["attributeScores"]["IDENTITY_ATTACK"]["summaryScore"]["type"] == "PROBABILITY"


def test_keys_as_the_client_sends_them(start_gateway: Starter, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    secret = create_api_key(path, "infer", ["infer"])
    running = start_gateway(api_keys_file=path)
    body = {"comment": {"text": "awful"}, "requestedAttributes": {"IDENTITY_ATTACK": {}}}
    with google_client(running, secret) as client:
        assert client.comments().analyze(body=body).execute()["attributeScores"]
    with google_client(running, "wrong") as client, pytest.raises(HttpError, match="not valid") as caught:
        client.comments().analyze(body=body).execute()
    assert caught.value.resp.status == 401
    assert json.loads(caught.value.content)["error"]["status"] == "UNAUTHENTICATED"
    http = running.client
    assert http.post(PATH, json=body).status_code == 401
    for headers in ({"X-Goog-Api-Key": secret}, {"Authorization": f"Bearer {secret}"}):
        assert http.post(PATH, json=body, headers=headers).status_code == 200
    other = http.post(f"/v1/posts:classify?key={secret}", json={"posts": [{"text": "a"}]})
    assert other.status_code == 401, "keys stay out of URLs elsewhere"


def test_versions_that_there_are(gateway: RunningGateway) -> None:
    assert gateway.client.get("/$discovery/rest?version=v2").status_code == 404
    assert gateway.client.get("/$discovery/rest").json()["rootUrl"] == f"{gateway.url}/"
