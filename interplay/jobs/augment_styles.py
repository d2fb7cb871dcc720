"""The style transfer server as ``augment_dataset`` calls it: which styles there are, and pictures in them."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from interplay.errors import (
    Cancelled,
    DeadlineExceeded,
    InternalError,
    InvalidParameter,
    Overloaded,
    PayloadTooLarge,
    Unavailable,
)
from interplay.jobs.augment_sources import Polygons
from interplay.media.images import ImageHeader
from interplay.rpc.clients import SyncModelServerClient
from interplay.rpc.common.v1 import common_pb2
from interplay.rpc.style_transfer.v1 import style_transfer_pb2 as pb

MODES = {
    "selective": pb.STYLE_MODE_SELECTIVE,
    "end_to_end": pb.STYLE_MODE_END_TO_END,
    "whole": pb.STYLE_MODE_WHOLE,
    "polygons": pb.STYLE_MODE_POLYGONS,
}
FORMATS = {"PNG": pb.PICTURE_FORMAT_PNG, "JPEG": pb.PICTURE_FORMAT_JPEG, "WEBP": pb.PICTURE_FORMAT_WEBP}
_MAX_POLYGONS = 200
# Pixels of all results of one call, unless one result alone has more: seconds of a CPU's time, and far
# below what fits into a message.
_CALL_PIXELS = 1_000_000
# Pixels of all calls that one worker has under way, unless one call alone has more. They wait for each
# other at the server; with more of them the last would meet its deadline, and its work would be lost.
_UNDER_WAY_PIXELS = 4_000_000
_CALL_TIMEOUT_S = 180.0
# How long one call waits for a server that is full; after that the runner waits, and tells who watches.
_PATIENCE_S = 180.0
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 10.0


class Budget:
    """Something that several threads share, each taking a part of it for a while.

    Args:
        total: How much there is.
    """

    def __init__(self, total: int) -> None:
        self._total = self._free = total
        self._changed = threading.Condition()

    @contextmanager
    def taken(self, amount: int) -> Iterator[None]:
        """Wait for the amount, or for all of it if that is less; it is given back afterwards."""
        amount = min(amount, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()


@dataclass(frozen=True)
class Picture:
    """One variant: the file's content, and what is told of it."""

    content: bytes
    facts: dict[str, Any]


@dataclass
class Styled:
    """The variants of one image, their size, and the server's time for them."""

    pictures: list[Picture]
    width: int = 0
    height: int = 0
    seconds: float = 0.0


def choose_styles(
    styles: Iterable[Any],
    *,
    wanted: list[str] | None,
    exclude: list[str],
    domain: str,
    end_to_end: bool,
) -> dict[str, str]:
    """Styles that may be drawn, with the digests of their models.

    Args:
        styles: The server's list.
        wanted: Names to draw from; None for all of ``domain``.
        exclude: Names that are left out.
        domain: Where styles come from when none are named.
        end_to_end: Only those that this mode has.

    Raises:
        InvalidParameter: A name is not on the list, or nothing is left to draw from.
    """
    known = {style.name: style for style in styles}
    for field, names in (("styles", wanted or []), ("exclude", exclude)):
        unknown = sorted(set(names) - known.keys())
        if unknown:
            raise InvalidParameter(
                f"there is no style {unknown[0]!r}; known: {', '.join(sorted(known))}",
                field=f"params.{field}",
            )
    if end_to_end:
        without = [name for name in wanted or [] if not known[name].end_to_end]
        if without:
            raise InvalidParameter(f"mode end_to_end has no style {without[0]!r}", field="params.styles")
    chosen = {
        name: style.model.digest
        for name, style in sorted(known.items())
        if name not in exclude
        and (name in wanted if wanted is not None else style.domain == domain)
        and (style.end_to_end or not end_to_end)
    }
    if not chosen:
        raise InvalidParameter(
            f"no style is left to draw from: {'of those named' if wanted else f'of domain {domain}'}, "
            f"{len(exclude)} are excluded" + (" and mode end_to_end has none" if end_to_end else ""),
            field="params.exclude" if exclude else "params.domain",
        )
    return chosen


def draw_styles(names: list[str], count: int, *, seed: int, image: str) -> list[str]:
    """Styles of an image's variants: none twice before all were drawn.

    The first ones are the same however many are drawn.
    """
    dice = random.Random(f"{seed}/{image}")
    drawn: list[str] = []
    while len(drawn) < count:
        order = sorted(names)
        dice.shuffle(order)
        drawn += order
    return drawn[:count]


class StyleClient:
    """Asks the style transfer servers; safe to share between threads.

    Args:
        client: Their client.
        mode: Which pixels are restyled, a key of ``MODES``.
        heat_floor: Mode selective: heat below this is taken as none; the model's own if unset.
        quality: Of JPEG and WebP.
    """

    def __init__(
        self, client: SyncModelServerClient, *, mode: str, heat_floor: float | None, quality: int
    ) -> None:
        self._client = client
        self._mode = mode
        self._heat_floor = heat_floor
        self._quality = quality
        self._under_way = Budget(_UNDER_WAY_PIXELS)

    def list_styles(self) -> list[Any]:
        """All styles, without pictures of them."""
        request = pb.ListStylesRequest(without_thumbnails=True)
        return list(self._client.call(self._client.stub.ListStyles, request).styles)

    def restyle(
        self,
        content: bytes,
        header: ImageHeader,
        styles: list[list[str]],
        image_format: str,
        polygons: Polygons | None,
        stop: threading.Event,
    ) -> Styled:
        """An image in each of some styles.

        Args:
            content: The image file.
            header: Its header.
            styles: Names, with the digests of their models.
            image_format: ``png``, ``jpeg``, ``webp``, or ``same`` as the image's.
            polygons: What to restyle in mode polygons; without any there is nothing to do.
            stop: Set when an answer is not worth waiting for any more.

        Raises:
            Overloaded, DeadlineExceeded: The server was full for minutes, or ``stop`` is set.
            InterplayError: What the server raised.
        """
        styled = Styled([])
        shapes = None
        if self._mode == "polygons":
            if not polygons:
                return styled
            if len(polygons) > _MAX_POLYGONS:
                raise PayloadTooLarge(f"the image has {len(polygons)} words; the limit is {_MAX_POLYGONS}")
            shapes = [_polygon(points) for points in polygons]
        kind = FORMATS[header.format if image_format == "same" else image_format.upper()]
        for names in _calls(styles, max(1, _CALL_PIXELS // header.pixels)):
            request = pb.StylizeRequest(
                image=common_pb2.Image(content=content),
                mixes=[pb.StyleMix(parts=[pb.StyleWeight(style=name)]) for name in names],
                mode=MODES[self._mode],
                heat_floor=self._heat_floor,
                polygons=shapes,
                format=kind,
                quality=self._quality,
            )
            with self._under_way.taken(len(names) * header.pixels):
                answer = self._ask(request, stop)
            if len(answer.images) != len(names) or answer.format != kind:
                raise InternalError(
                    f"the style transfer server gave {len(answer.images)} pictures for {len(names)} styles"
                )
            facts = _facts(answer)
            pictures = zip(names, answer.images, strict=True)
            styled.pictures += [Picture(picture, {"style": name, **facts}) for name, picture in pictures]
            styled.width, styled.height = answer.width, answer.height
            styled.seconds += _seconds(answer.timings)
        return styled

    def _ask(self, request: Any, stop: threading.Event) -> Any:
        """Call; while the server is full, wait and call again."""
        give_up_at = time.monotonic() + _PATIENCE_S
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return self._client.call(self._client.stub.Stylize, request, timeout_s=_CALL_TIMEOUT_S)
            except Cancelled as error:  # by a server that was stopped: nobody here cancels
                raise Unavailable("the style transfer server went away", retry_after_s=1.0) from error
            except (Overloaded, DeadlineExceeded) as error:
                if stop.is_set() or time.monotonic() > give_up_at:
                    raise
                asked_s = min(error.retry_after_s or 0.0, _LONGEST_WAIT_S)
                stop.wait(max(wait_s, asked_s) * random.uniform(0.75, 1.25))
                wait_s = min(2 * wait_s, _LONGEST_WAIT_S)


def _calls(styles: list[list[str]], most: int) -> Iterator[list[str]]:
    """Names of one call each: of one model, so that the answer's model is that of each, and not too many."""
    for _, group in groupby(styles, key=lambda style: style[1]):
        names = [name for name, _ in group]
        for start in range(0, len(names), most):
            yield names[start : start + most]


def _polygon(points: list[list[float]]) -> common_pb2.Polygon:
    return common_pb2.Polygon(points=[common_pb2.Point(x=x, y=y) for x, y in points])


def _facts(answer: Any) -> dict[str, Any]:
    facts: dict[str, Any] = {"model": _model(answer.model), "styled_ratio": round(answer.styled_ratio, 6)}
    if answer.HasField("detector"):
        facts["detector"] = _model(answer.detector)
    return facts


def _model(info: Any) -> dict[str, str]:
    return {"name": info.name, "version": info.version, "digest": info.digest}


def _seconds(timings: Any) -> float:
    """Time that the server worked, without that in its queue."""
    stages = ("decode_ns", "preprocess_ns", "infer_ns", "postprocess_ns")
    return sum(getattr(timings, stage) for stage in stages) / 1e9
