"""Content negotiation after RFC 9110: which of the offered media types the caller likes best."""

from __future__ import annotations

from collections.abc import Sequence

from interplay.errors import NotAcceptable

JSON = "application/json"
PNG = "image/png"
JPEG = "image/jpeg"
WEBP = "image/webp"
MULTIPART = "multipart/mixed"
HTML = "text/html"

PICTURES = (PNG, JPEG, WEBP)


def best_media_type(accept: str | None, offered: Sequence[str]) -> str:
    """Choose among ``offered``, most preferred by the server first.

    For each offered type the most specific matching range counts; the highest q wins, and the
    server's order breaks ties. Ranges with parameters other than q match as if they had none;
    malformed ranges are ignored.

    Args:
        accept: ``Accept`` header; None or blank accepts anything.
        offered: Media types this path can answer with.

    Raises:
        NotAcceptable: Every offered type is excluded.
    """
    if accept is None or not accept.strip():
        return offered[0]
    ranges = [parsed for part in accept.split(",") if (parsed := _parse_range(part))]
    best, best_quality = offered[0], 0.0
    for media_type in offered:
        quality = _quality(media_type, ranges)
        if quality > best_quality:
            best, best_quality = media_type, quality
    if best_quality == 0.0:
        shown = accept if len(accept) <= 80 else accept[:80] + "…"
        raise NotAcceptable(f"Accept {shown!r} leaves nothing to answer with; offered: {', '.join(offered)}")
    return best


def _parse_range(part: str) -> tuple[str, str, float] | None:
    media_range, *parameters = (piece.strip() for piece in part.lower().split(";"))
    main, slash, sub = media_range.partition("/")
    if not slash or not main or not sub or (main == "*" and sub != "*"):
        return None
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = float(value)
            except ValueError:
                return None
            if not 0.0 <= quality <= 1.0:  # also refuses NaN
                return None
    return main, sub, quality


def _quality(media_type: str, ranges: Sequence[tuple[str, str, float]]) -> float:
    main, _, sub = media_type.partition("/")
    best_rank, best_quality = -1, 0.0
    for range_main, range_sub, quality in ranges:
        if (range_main, range_sub) == (main, sub):
            rank = 2
        elif range_main == main and range_sub == "*":
            rank = 1
        elif range_main == "*":
            rank = 0
        else:
            continue
        if rank > best_rank or (rank == best_rank and quality > best_quality):
            best_rank, best_quality = rank, quality
    return best_quality
