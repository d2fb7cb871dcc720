"""The server of ``fake_style_transfer`` with what tests of jobs need besides: delays, refusals, counts."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from typing import Any

import grpc
import numpy as np
from grpc_status import rpc_status

from interplay.errors import InterplayError, Overloaded
from interplay.media.images import encode_picture
from interplay.rpc.status import status_from_error
from tests.fake_style_transfer import FakeStyleTransfer


def photo(number: int, kind: str = "JPEG", size: tuple[int, int] = (24, 16)) -> bytes:
    """A picture unlike those of other numbers."""
    pixels = np.random.default_rng(number).integers(0, 255, (*size[::-1], 3), np.uint8)
    return encode_picture(pixels, kind, 95)


def digest(content: bytes) -> str:
    """By which ``FakeStylist.made`` knows an image."""
    return hashlib.sha256(content).hexdigest()


class FakeStylist(FakeStyleTransfer):
    """Also counts and hinders.

    Attributes:
        delay_s: Time of each call.
        overloads: So many calls are turned away first.
        broken: So many calls fail with INTERNAL first.
        made: Variants made of each image, by ``digest``.
        calls: Calls of Stylize.
        most_at_once: Most calls of Stylize at the same time.
    """

    def reset(self) -> None:
        """Forget what earlier tests did."""
        super().reset()
        self.delay_s = 0.0
        self.overloads = 0
        self.broken = 0
        self.made: Counter[str] = Counter()
        self.calls = 0
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()

    def Stylize(self, request: Any, context: Any) -> Any:
        """As the parent's, and slower."""
        with self._lock:
            self.calls += 1
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            overloaded, self.overloads = self.overloads > 0, max(0, self.overloads - 1)
            broken, self.broken = self.broken > 0, max(0, self.broken - 1)
        try:
            time.sleep(self.delay_s)
            if broken:
                context.abort(grpc.StatusCode.INTERNAL, "broken")
            if overloaded:
                raise Overloaded("the queue is full", retry_after_s=0.01)
            answer = super().Stylize(request, context)
            with self._lock:
                self.made[digest(request.image.content)] += len(answer.images)
            return answer
        except InterplayError as error:
            return context.abort_with_status(rpc_status.to_status(status_from_error(error)))
        finally:
            with self._lock:
                self._now -= 1
