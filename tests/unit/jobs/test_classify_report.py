"""The page of ``classify_dataset``: what is counted, and what a browser shows of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interplay.jobs.classify_report import ReportPost, Tally, render_report
from tests.browser import Page, open_browser
from tests.fake_text_detection import picture


def post(number: int, probability: float, **changes: Any) -> ReportPost:
    outcome = {
        "probability": probability,
        "interval": [max(0.0, probability - 0.1), min(1.0, probability + 0.1)],
        "label": "hate" if probability >= 0.45 else "not_hate",
        "threshold": 0.45,
        "categories": {"racist": probability / 4, "sexist": probability / 2},
        "contributions": {"text": probability - 0.4, "image": -0.05},
        "words_of_image": None,
        "model": "hate-classifier 1",
    }
    return ReportPost(f"post {number}", outcome, changes.get("text"), changes.get("image"))


def tallied(probabilities: list[float], *, top: int = 10, **changes: Any) -> Tally:
    tally = Tally(top)
    for number, probability in enumerate(probabilities):
        tally.add(post(number, probability, **changes), None)
    return tally


def rendered(tally: Tally, picture: Any = None) -> str:
    return render_report(tally, {**tally.summary(), "input": "in/<posts>.jsonl"}, picture)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with open_browser(tmp_path_factory.mktemp("browser")) as opened:
        yield opened


def test_the_highest_come_first_and_ties_as_they_came() -> None:
    tally = tallied([0.2, 0.9, 0.5, 0.9, 1.0, 0.0], top=4)
    assert [shown.id for shown in tally.top()] == ["post 4", "post 1", "post 3", "post 2"]
    assert tally.bins[0] == 1 and tally.bins[-1] == 1 and tally.bins[18] == 2
    assert (tally.scored, tally.hate) == (6, 4)
    assert [row["posts"] for row in tally.table() if row["threshold"] in (0.4, 0.45, 0.9)] == [4, 4, 3]
    assert tallied([0.3, 0.4], top=0).top() == []


def test_nothing_was_scored() -> None:
    tally = Tally(5)
    tally.add_error("UNREADABLE_IMAGE")
    document = rendered(tally)
    assert "UNREADABLE_IMAGE" in document and "The 0 highest scored posts" in document
    assert tally.summary()["threshold"] is None and tally.summary()["failed"] == 1


@pytest.mark.slow
def test_a_browser_shows_it_without_a_complaint_or_a_request(page: Page, tmp_path: Path) -> None:
    text = "<script>alert(1)</script> & שלום " + "long " * 300
    tally = tallied([0.1, 0.5, 0.95], text=text, image="red.png")
    file = tmp_path / "report.html"
    file.write_text(rendered(tally, lambda url: picture(1.0)), encoding="utf-8")
    for width in (1100, 400):
        page.requests.clear()
        page.open(file.as_uri(), width=width)
        assert page.requests == [file.as_uri()] and page.complaints == []
    count = "document.querySelectorAll({!r}).length"
    assert page.evaluate(count.format(".posts tbody tr")) == 3
    assert page.evaluate(count.format("svg rect")) == 20
    assert page.evaluate(count.format("script")) == 0
    assert page.evaluate("document.querySelector('h1').textContent") == "Posts of in/<posts>.jsonl"
    assert page.evaluate("document.querySelector('blockquote').textContent").startswith("<script>alert(1)")
    assert page.evaluate("[...document.images].every(image => image.naturalWidth > 0)")
    bars = page.evaluate("[...document.querySelectorAll('.input b')].map(b => [b.className, b.offsetWidth])")
    assert bars[0][0] == "for" and bars[1][0] == "against" and bars[0][1] > bars[1][1] > 0
    assert page.evaluate("document.querySelector('tr.used td').textContent") == "0.45"
