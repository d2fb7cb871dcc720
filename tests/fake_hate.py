"""A hate classifier server for tests: the real server and servicer around a classifier of a few rules.

The probability is 0.2, and 0.5 more where the text says "awful", 0.1 less where it says "kind", 0.2 more
where the words in the image say "awful", and 0.1 times the redness of the image.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from interplay.capabilities import get_capability
from interplay.predictors.batch import BatchOutput
from interplay.predictors.hate_classifier.answers import CATEGORIES, PostAnswer, PostItem, WordWeight
from interplay.predictors.hate_classifier.discreet import Discreet
from interplay.serving.runtime import InProcessRuntime
from interplay.serving.server import ModelServer, Service
from interplay.store import Manifest
from services.hate_classifier.service import service_of
from services.hate_classifier.settings import HateClassifierSettings

CAPABILITY = get_capability("hate_classifier")
MANIFEST = Manifest(
    name="hate-classifier",
    version=7,
    capability="hate_classifier",
    architecture="rules",
    description="Looks for a word",
    license="MIT",
    thresholds={"hate": 0.5},
    labels=CATEGORIES,
    parameters=0,
    weights_sha256="cd" * 32,
)
BASELINE = 0.2
_WEIGHTS = {"awful": 0.5, "kind": -0.1}
_IN_IMAGE = 0.2
_RED = 0.1


class RuleClassifier:
    """``Predictor`` of posts. The text "BOOM" makes it fail.

    Attributes:
        batches: Sizes of the batches so far.
        items: Posts so far.
        gate: Batches wait for it; set unless a test clears it.
    """

    manifest, device, dtype = MANIFEST, "cpu", "float32"

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.items: list[PostItem] = []
        self.gate = threading.Event()
        self.gate.set()

    def warm_up(self) -> None:
        """Nothing is cold."""

    def predict_batch(self, batch: Sequence[PostItem]) -> BatchOutput[PostAnswer]:
        """See ``Predictor``."""
        assert self.gate.wait(30)
        self.batches.append(len(batch))
        self.items += batch
        return BatchOutput(results=[answer_of(item) for item in batch], infer_s=0.001)


def answer_of(item: PostItem) -> PostAnswer:
    """The answer by the rules."""
    if item.text == "BOOM":
        raise ValueError(f"cannot take {item.text!r}")
    effects: dict[str, float] = {}
    words: list[WordWeight] = []
    for source, text, factor in (("text", item.text, 1.0), ("image_text", item.image_text, _IN_IMAGE / 0.5)):
        if text:
            found = [(match, _WEIGHTS.get(match[0].lower(), 0.0)) for match in re.finditer(r"\w+", text)]
            effects[source] = factor * sum({match[0].lower(): weight for match, weight in found}.values())
            words += [WordWeight(source, match.start(), match.end(), weight) for match, weight in found]
    region = None
    if item.image is not None:
        effects["image"] = _RED * float(item.image[..., 0].mean()) / 255
        if item.region:
            redness = np.repeat(item.image[..., 0].astype(np.float32) / 255, 2, axis=1)
            halves = np.array_split(redness, 2, axis=1)  # of a picture one pixel wide, too
            region = np.array([[half.mean() - 0.5 for half in halves]] * 3, np.float32)
    probability = BASELINE + sum(effects.values())
    return PostAnswer(
        probability=probability,
        low=max(0.0, probability - 0.05),
        high=min(1.0, probability + 0.05),
        categories={name: probability / (2 + number) for number, name in enumerate(CATEGORIES)},
        baseline=BASELINE,
        alone={name: BASELINE + effect for name, effect in effects.items()},
        without={name: probability - effect for name, effect in effects.items()},
        contributions=effects,
        words=tuple(words) if item.words else (),
        region=region,
    )


class FakeHate:
    """The server, in a thread of its own.

    Args:
        settings: Further settings by name.

    Attributes:
        classifier: The rules.
        port: Where it listens.
    """

    def __init__(self, **settings: Any) -> None:
        self.classifier = RuleClassifier()
        self._settings = settings
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self.port = 0

    def start(self) -> None:
        """Start serving, on a free port."""

        def build(
            settings: Any, pool: ThreadPoolExecutor, on_death: Callable[[BaseException], None]
        ) -> Service:
            return service_of(InProcessRuntime(lambda: Discreet(self.classifier)), settings, pool, on_death)

        async def started() -> ModelServer:
            values = {"port": 0, "model_store": Path("unused"), "drain_delay_s": 0.0, **self._settings}
            server = ModelServer(CAPABILITY, HateClassifierSettings(**values), build)
            await server.start()
            return server

        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(started(), self._loop).result(30)
        self.port = self._server.port

    def reset(self) -> None:
        """Forget what earlier tests did."""
        self.classifier.gate.set()
        self.classifier.batches.clear()
        self.classifier.items.clear()

    def stop(self) -> None:
        """Stop serving."""
        asyncio.run_coroutine_threadsafe(self._server.stop(drain=False), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def running_fake(**settings: Any) -> Iterator[FakeHate]:
    """Body of a fixture: a server that is stopped in the end."""
    server = FakeHate(**settings)
    server.start()
    yield server
    server.stop()
