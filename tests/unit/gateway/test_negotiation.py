"""Which media type wins for which Accept header."""

from __future__ import annotations

import pytest

from gateway.negotiation import JSON, PNG, best_media_type
from interplay.errors import NotAcceptable


@pytest.mark.parametrize(
    ("accept", "offered", "expected"),
    [
        (None, (PNG, JSON), PNG),
        ("", (JSON, PNG), JSON),
        ("*/*", (PNG, JSON), PNG),
        ("*/*", (JSON, PNG), JSON),
        ("application/json", (PNG, JSON), JSON),
        ("image/png", (JSON, PNG), PNG),
        ("IMAGE/PNG", (JSON, PNG), PNG),
        ("image/*", (JSON, PNG), PNG),
        ("application/json;q=0.5, image/png", (JSON, PNG), PNG),
        ("application/json;q=0.5, image/png;q=0.4", (PNG, JSON), JSON),
        ("image/png;q=0, */*", (PNG, JSON), JSON),
        ("*/*, image/png;q=0.1", (PNG, JSON), JSON),
        ("image/*;q=0.2, image/png;q=0.9, application/json;q=0.5", (JSON, PNG), PNG),
        ("application/json; charset=utf-8", (PNG, JSON), JSON),
        ("text/html, application/json;q=0.1", (PNG, JSON), JSON),
        ("application/json; q = 0.9 , image/png ; q=0.2", (PNG, JSON), JSON),
        ("nonsense, application/json", (PNG, JSON), JSON),
        ("image/png;q=oops, application/json;q=0.1", (PNG, JSON), JSON),
    ],
)
def test_the_preferred_type_wins(accept: str | None, offered: tuple[str, ...], expected: str) -> None:
    assert best_media_type(accept, offered) == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "*/*;q=0", "image/png;q=0", "nonsense", "*/json", "application/json;q=nan"]
)
def test_nothing_left_is_refused_with_the_offer(accept: str) -> None:
    with pytest.raises(NotAcceptable, match="offered: application/json"):
        best_media_type(accept, (JSON,))
