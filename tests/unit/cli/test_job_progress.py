from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from interplay.cli import job_progress
from interplay.cli.job_progress import Pace


def test_no_pace_before_there_was_progress() -> None:
    pace = Pace()
    assert pace.show(10) == ""
    pace.add(40, 0.0)
    pace.add(40, 30.0)
    assert pace.show(10) == ""


def test_pace_counts_what_was_done_meanwhile() -> None:
    pace = Pace()
    pace.add(40, 0.0)
    pace.add(60, 10.0)
    assert pace.items_per_s == pytest.approx(2.0)
    assert pace.show(130) == "2.0 items/s, 1:05 left"
    assert pace.show(14400) == "2.0 items/s, 2:00:00 left"


def test_slow_jobs_are_told_by_the_minute() -> None:
    pace = Pace()
    pace.add(0, 0.0)
    pace.add(4, 60.0)
    assert pace.show(2) == "4.0 items/min, 0:30 left"


def test_pace_is_that_of_the_last_minutes() -> None:
    pace = Pace()
    for second in range(0, 1000, 10):
        pace.add(second * 10, float(second))
    for second in range(1000, 1300, 10):
        pace.add(10_000 + second - 1000, float(second))
    assert pace.items_per_s == pytest.approx(1.0, rel=0.05)


def test_units_that_take_longer_than_the_window_have_a_pace() -> None:
    pace = Pace()
    for number in range(4):
        pace.add(number * 16, number * 400.0)
    assert pace.items_per_s == pytest.approx(16 / 400)


def job(state: str, done: int, total: int | None, message: str = "") -> dict[str, Any]:
    progress = {"done": done, "total": total}
    return {"id": "x", "state": state, "progress": progress, "message": message, "error": None}


@pytest.mark.parametrize("terminal", [False, True])
def test_pace_is_shown(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([0.0, 5.0, 10.0])
    events = [
        job("queued", 0, None),
        job("running", 100, 200),
        job("running", 120, 200),
        job("running", 150, 200, "busy"),
        *([] if terminal else [job("succeeded", 200, 200)]),  # a bar shows the last event alone
    ]

    def replay(*_: Any) -> Iterator[dict[str, Any]]:
        yield from events

    class Clock:
        @staticmethod
        def monotonic() -> float:
            return next(seconds)

    monkeypatch.setattr(job_progress, "_events", replay)
    monkeypatch.setattr(job_progress, "time", Clock)
    out = io.StringIO()
    console = Console(file=out, force_terminal=terminal, width=150, highlight=False, color_system=None)
    show = job_progress._follow_bar if terminal else job_progress._follow_lines
    show(None, "x", console)  # type: ignore[arg-type]
    shown = out.getvalue()
    if terminal:
        assert "150/200" in shown
        assert "5.0 items/s, 0:10 left busy" in " ".join(shown.split())
    else:
        assert shown.splitlines() == [
            "queued",
            "running 100/200",
            "running 120/200 (4.0 items/s, 0:20 left)",
            "running 150/200 (5.0 items/s, 0:10 left) busy",
            "succeeded 200/200",
        ]
