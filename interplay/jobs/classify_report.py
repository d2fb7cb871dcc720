"""The report of ``classify_dataset``: what is counted while the posts pass by, and the page made of it.

The page is one HTML file: style and pictures are in it, it has no program, and its content policy forbids
all requests.
"""

from __future__ import annotations

import base64
import heapq
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from itertools import count
from typing import Any

from interplay.errors import InterplayError
from interplay.media.images import decode, encode_jpeg, shrink

BINS = 20
THRESHOLDS = tuple(number / 10 for number in range(1, 10))
_THUMBNAIL_PX = 160
_SHOWN_CHARACTERS = 600
_INPUT_NAMES = {"text": "text", "image_text": "words in the image", "image": "image"}


@dataclass(frozen=True)
class ReportPost:
    """A post that was scored.

    Attributes:
        id: Its name.
        outcome: As in the scored list.
        text: What its author wrote, where the report may show it.
        image: Where its image is, if it has one.
    """

    id: str
    outcome: dict[str, Any]
    text: str | None
    image: str | None


class Tally:
    """What is counted; holds the highest scored posts.

    Args:
        top: How many of them.
    """

    def __init__(self, top: int) -> None:
        self._room = top
        self._number = count()
        self._top: list[tuple[float, int, ReportPost]] = []
        self.scored = 0
        self.hate = 0
        self.errors: Counter[str] = Counter()
        self.models: set[str] = set()
        self.threshold: float | None = None
        self.bins = [0] * BINS
        self.categories: Counter[str] = Counter()
        self.words: Counter[str] = Counter()
        # By threshold: posts at it or above, and of those with a label the ones that people called hate.
        self._above: Counter[float] = Counter()
        self._labelled_above: Counter[float] = Counter()
        self._hits: Counter[float] = Counter()
        self.labelled = 0
        self.positives = 0

    def add(self, post: ReportPost, label: bool | None) -> None:
        """Count a scored post and what people said of it."""
        outcome = post.outcome
        probability = outcome["probability"]
        self.scored += 1
        self.hate += outcome["label"] == "hate"
        self.models.add(outcome["model"])
        self.threshold = outcome["threshold"]
        self.bins[min(BINS - 1, int(probability * BINS))] += 1
        for name, value in outcome["categories"].items():
            self.categories[name] += value
        if outcome["words_of_image"]:
            self.words[outcome["words_of_image"]] += 1
        if label is not None:
            self.labelled += 1
            self.positives += label
        for threshold in self._thresholds():
            if probability >= threshold:
                self._above[threshold] += 1
                self._labelled_above[threshold] += label is not None
                self._hits[threshold] += label is True
        heapq.heappush(self._top, (probability, -next(self._number), post))
        if len(self._top) > self._room:
            heapq.heappop(self._top)

    def add_error(self, reason: str) -> None:
        """Count a post that could not be scored."""
        self.errors[reason] += 1

    def top(self) -> list[ReportPost]:
        """The highest scored posts, the highest first."""
        return [post for _, _, post in sorted(self._top, key=lambda entry: (-entry[0], -entry[1]))]

    def _thresholds(self) -> list[float]:
        used = () if self.threshold is None else (self.threshold,)
        return sorted({*THRESHOLDS, *used})

    def table(self) -> list[dict[str, Any]]:
        """Posts at each threshold or above it; how right that is, where there are labels."""
        rows = []
        for threshold in self._thresholds():
            above, labelled, hits = (
                self._above[threshold],
                self._labelled_above[threshold],
                self._hits[threshold],
            )
            row: dict[str, Any] = {
                "threshold": threshold,
                "posts": above,
                "share": round(above / max(1, self.scored), 4),
            }
            if self.labelled:
                row["precision"] = round(hits / labelled, 4) if labelled else None
                row["recall"] = round(hits / self.positives, 4) if self.positives else None
            rows.append(row)
        return rows

    def summary(self) -> dict[str, Any]:
        """The numbers, for people and programs."""
        return {
            "posts": self.scored + sum(self.errors.values()),
            "scored": self.scored,
            "failed": sum(self.errors.values()),
            "errors": dict(sorted(self.errors.items())),
            "hate": self.hate,
            "threshold": self.threshold,
            # More than one when a new model was rolled out while the job ran: then scores differ in kind.
            "models": sorted(self.models),
            "histogram": {"bin_width": 1 / BINS, "counts": self.bins},
            "thresholds": self.table(),
            "expected_by_category": {
                name: round(value, 2) for name, value in sorted(self.categories.items())
            },
            "words_of_images": dict(sorted(self.words.items())),
            "labelled": self.labelled,
            "labelled_hate": self.positives,
        }


def render_report(tally: Tally, summary: dict[str, Any], picture: Callable[[str], bytes] | None) -> str:
    """The page.

    Args:
        tally: What was counted.
        summary: As it is written beside the page.
        picture: Gives the image of a post; None keeps texts and images out of the page.
    """
    style = files("interplay.jobs").joinpath("classify_report.css").read_text(encoding="utf-8")
    models = ", ".join(map(escape, tally.models)) or "none"
    sections = [
        _figures(summary),
        "<h2>Scores</h2>",
        _histogram(tally),
        "<h2>Thresholds</h2>",
        _thresholds(tally),
        "<h2>Kinds of hate</h2>",
        _kinds(tally),
        _errors(tally),
        f"<h2>The {len(tally.top())} highest scored posts</h2>",
        _posts(tally, picture),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Posts of {escape(str(summary['input']))}</title><style>{style}</style></head><body><main>"
        f"<h1>Posts of {escape(str(summary['input']))}</h1>"
        f"<p>Judged by {models}. A score is the probability that people call a post hate speech. People "
        "disagree about that, and the classifier has their biases: use it to sort what people then look at, "
        "not to decide.</p>" + "".join(sections) + "</main></body></html>\n"
    )


def _figures(summary: dict[str, Any]) -> str:
    threshold = "" if summary["threshold"] is None else f" at {summary['threshold']:.3g} or above"
    parts = [(summary["scored"], "scored"), (summary["hate"], f"labelled hate{threshold}")]
    parts.append((summary["failed"], "could not be scored"))
    if unread := summary["words_of_images"].get("not_read"):
        parts.append((unread, "images not read"))
    cells = "".join(f"<div><b>{number:,}</b><span>{escape(what)}</span></div>" for number, what in parts)
    return f'<section class="figures">{cells}</section>'


def _histogram(tally: Tally) -> str:
    """Bars of equal width, the used threshold as a line."""
    width, height, left, bottom = 640, 180, 44, 22
    most = max(1, *tally.bins)
    step = (width - left) / BINS
    bars = []
    for number, posts in enumerate(tally.bins):
        tall = (height - 10) * posts / most
        x, low, high = left + number * step, number / BINS, (number + 1) / BINS
        bars.append(
            f'<rect x="{x + 1:.1f}" y="{height - tall:.1f}" width="{step - 2:.1f}" height="{tall:.1f}">'
            f"<title>{low:.2f} to {high:.2f}: {posts:,}</title></rect>"
        )
    ticks = "".join(
        f'<text x="{left + (width - left) * part / 4:.1f}" y="{height + 16}" text-anchor="middle">'
        f"{part / 4:g}</text>"
        for part in range(5)
    )
    line = ""
    if tally.threshold is not None:
        x = left + (width - left) * tally.threshold
        line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{height}"/>'
    return (
        f'<svg viewBox="0 0 {width + 12} {height + bottom}" role="img" aria-label="Histogram of scores">'
        f'<text x="{left - 6}" y="14" text-anchor="end">{most:,}</text>'
        f'<text x="{left - 6}" y="{height}" text-anchor="end">0</text>{"".join(bars)}{line}{ticks}</svg>'
    )


def _thresholds(tally: Tally) -> str:
    rows, labelled = tally.table(), bool(tally.labelled)
    head = "<th>threshold<th>posts<th>share" + ("<th>precision<th>recall" if labelled else "")
    body = []
    for row in rows:
        used = " class=used" if row["threshold"] == tally.threshold else ""
        cells = [f"{row['threshold']:.3g}", f"{row['posts']:,}", f"{row['share']:.1%}"]
        if labelled:
            cells += ["–" if row[name] is None else f"{row[name]:.1%}" for name in ("precision", "recall")]
        body.append(f"<tr{used}>" + "".join(f"<td>{cell}" for cell in cells))
    note = ""
    if labelled:
        note = f"<p>By the labels of {tally.labelled:,} posts, {tally.positives:,} of them hate.</p>"
    return f"<table><thead><tr>{head}<tbody>{''.join(body)}</table>{note}"


def _kinds(tally: Tally) -> str:
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{value:,.1f}" for name, value in tally.categories.most_common()
    )
    return f"<table><thead><tr><th>kind<th>expected posts<tbody>{rows}</table>"


def _errors(tally: Tally) -> str:
    if not tally.errors:
        return ""
    rows = "".join(f"<tr><td>{escape(reason)}<td>{number:,}" for reason, number in tally.errors.most_common())
    return f"<h2>Errors</h2><table><thead><tr><th>reason<th>posts<tbody>{rows}</table>"


def _posts(tally: Tally, picture: Callable[[str], bytes] | None) -> str:
    rows = []
    for rank, post in enumerate(tally.top(), 1):
        outcome = post.outcome
        kind = max(outcome["categories"], key=outcome["categories"].get, default="")
        shown = _shown(post, picture) if picture else ""
        low, high = outcome["interval"]
        rows.append(
            f"<tr><td>{rank}<td><b>{outcome['probability']:.3f}</b><br><small>{low:.2f}–{high:.2f}</small>"
            f"<td>{escape(kind)}<td>{_bars(outcome['contributions'])}<td>{escape(post.id)}{shown}"
        )
    head = "<th><th>score<th>likeliest kind<th>what each input did<th>post"
    hint = (
        "" if picture else "<p>Texts and images are shown where the job has <code>show_posts=true</code>.</p>"
    )
    return f"{hint}<table class=posts><thead><tr>{head}<tbody>{''.join(rows)}</table>"


def _bars(contributions: dict[str, float]) -> str:
    """Contributions to the right of a middle line where they speak for hate, else to the left."""
    bars = []
    for name, value in contributions.items():
        share = min(50.0, abs(value) * 50)
        side = "for" if value >= 0 else "against"
        offset = 50.0 if value >= 0 else 50.0 - share
        bars.append(
            f"<div class=input><span>{_INPUT_NAMES[name]}</span><i><b class={side} "
            f'style="left:{offset:.1f}%;width:{share:.1f}%"></b></i><em>{value:+.3f}</em></div>'
        )
    return "".join(bars)


def _shown(post: ReportPost, picture: Callable[[str], bytes]) -> str:
    text = post.text or ""
    if len(text) > _SHOWN_CHARACTERS:
        text = text[:_SHOWN_CHARACTERS] + "…"
    parts = [f"<blockquote dir=auto>{escape(text)}</blockquote>"] if text else []
    if post.image:
        try:
            small = encode_jpeg(shrink(decode(picture(post.image)), _THUMBNAIL_PX), 80)
            parts.append(
                f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(small).decode("ascii")}">'
            )
        except InterplayError:
            pass  # it was there when it was scored; a report without it is still of use
    return "".join(parts)
