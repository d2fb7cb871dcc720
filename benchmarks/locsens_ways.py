"""The ways that ``benchmarks.locsens`` compares: plain, the arithmetic alone, and the server's own."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.locsens_world import Models, Photos
from interplay.index.embedded import EmbeddedCatalogue
from interplay.index.entries import Entry, Filter, Place
from interplay.media.images import ImageLimits
from interplay.models.locsens import LocSens
from interplay.predictors.locsens.scorer import normalised
from interplay.serving.batcher import Batcher, BatchLimits
from interplay.serving.indexes.indexes import Indexes
from interplay.serving.requests import Requests
from interplay.serving.runtime import InProcessRuntime
from services.locsens.images import Images
from services.locsens.retrieval import Query as Asked
from services.locsens.retrieval import Ranked, Retrieval
from training.locsens.protocol import Query

NAME = "bench"
MOST = 10_000_000
_CHUNKS = (128, 256, 512, 1024, 2048, 4096, 8192)
_WRITTEN = 512
_DEADLINE_S = 3600.0


class Plain:
    """Concatenates image, tag and place and runs the whole network, with torch's own group norm.

    Args:
        model: Its weights are copied.
        tags: (V, D) float32 of length one.

    Attributes:
        chunk: Images at a time; see ``tune``.
    """

    def __init__(self, model: LocSens, tags: NDArray[np.float32]) -> None:
        self.model, self._tags, self.chunk = copy.deepcopy(model), torch.from_numpy(tags), 512
        for row, ours in enumerate(model.norms):
            theirs = nn.GroupNorm(ours.num_groups, ours.num_channels, eps=ours.eps)
            theirs.load_state_dict(ours.state_dict())
            self.model.norms[row] = theirs.requires_grad_(False)

    @torch.inference_mode()
    def score(self, vectors: NDArray[np.float32], tag: int, place: NDArray[np.float64]) -> NDArray:
        """(N,) scores of images for a tag at a place (degrees)."""
        at = torch.from_numpy(normalised(place))
        chunks = torch.from_numpy(vectors).split(self.chunk)
        return np.concatenate(
            [
                self.model(chunk, self._tags[tag].expand(len(chunk), -1), at.expand(len(chunk), -1)).numpy()
                for chunk in chunks
            ]
        )

    def tune(self, vectors: NDArray[np.float32], rounds: int = 3) -> int:
        """Takes the chunk size that is fastest, and returns it."""

        def seconds(chunk: int) -> float:
            self.chunk = chunk
            return least(lambda: self.score(vectors, 0, np.zeros(2)), rounds)

        self.chunk = min([chunk for chunk in _CHUNKS if chunk <= len(vectors)] or [512], key=seconds)
        return self.chunk


def layers(model: LocSens, *, all_of_them: bool) -> list[tuple[int, int]]:
    """Shapes of the products that an image costs: of the whole network, or after the first layer."""
    config = model.config
    after = list(zip(config.widths, [*config.widths[1:], 1], strict=True))
    if not all_of_them:
        return after
    whole = (3 * config.modality, config.widths[0])
    return [
        (2, config.modality),
        (config.image, config.modality),
        (config.tag, config.modality),
        whole,
        *after,
    ]


def floor(shapes: Sequence[tuple[int, int]], rows: int = 4096) -> tuple[float, float]:
    """Seconds an image that plain matrix products of these shapes take, and their GFLOP/s."""
    taken = 0.0
    for inner, outer in shapes:
        left, right = torch.randn(rows, inner), torch.randn(inner, outer)
        out = torch.empty(rows, outer)
        taken += min(
            least(lambda left=left, right=right, out=out, n=n: product(left, right, out, n), 10)
            for n in (512, rows)
        )
    work = 2 * rows * sum(inner * outer for inner, outer in shapes)
    return taken / rows, work / taken / 1e9


def product(left: torch.Tensor, right: torch.Tensor, out: torch.Tensor, chunk: int) -> None:
    """A product, some rows at a time."""
    for some, into in zip(left.split(chunk), out.split(chunk), strict=True):
        torch.mm(some, right, out=into)


def least(function: Callable[[], Any], rounds: int) -> float:
    """Seconds of the fastest of some calls."""
    return min(timed(function) for _ in range(rounds))


def timed(function: Callable[[], Any]) -> float:
    """Seconds of a call."""
    started = perf_counter()
    function()
    return perf_counter() - started


class _Context:
    """A call without a deadline of its own."""

    def time_remaining(self) -> None:
        return None


class Server:
    """What the LocSens server does with a request for images, from its servicer on: no gRPC.

    Args:
        root: Of the embedded indexes.
        models: The ranker is run by the server's batcher.
        most: Largest index that is kept in memory.
    """

    def __init__(self, root: Path, models: Models, most: int = MOST) -> None:
        self._loop = asyncio.new_event_loop()
        self._pool = ThreadPoolExecutor(1)
        self._tags = models.tags
        self._ranker = Batcher(
            "locsens-retrieval", InProcessRuntime(lambda: models.ranker), BatchLimits(max_delay_s=0.0)
        )
        self._requests = Requests(self._ranker, self._pool, ImageLimits(), _DEADLINE_S)
        # Nothing is asked of the image model here but whose space the vectors are in.
        self.indexes = Indexes(EmbeddedCatalogue(root), Images(self._ranker, self._requests, models.manifest))
        self._retrieval, self._from_index = (
            Retrieval(self.indexes, self._ranker, shared=False, max_exact_entries=MOST, max_kept_entries=kept)
            for kept in (most, 0)
        )
        self._loop.run_until_complete(self._ranker.start())

    def build(self, photos: Photos, said: Callable[[int], None]) -> bool:
        """Build the index, unless it is there; whether it was built.

        Args:
            photos: Their numbers become the ids of the entries.
            said: Told how many have been written.
        """
        catalogue = self.indexes.catalogue
        if any(info.spec.name == NAME and info.entries == len(photos.vectors) for info in catalogue.all()):
            return False
        self.indexes.begin(NAME, "all")
        for start in range(0, len(photos.vectors), _WRITTEN):
            stop = min(start + _WRITTEN, len(photos.vectors))
            entries = [
                Entry(str(row), photos.vectors[row], place=Place(*photos.places[row].tolist()))
                for row in range(start, stop)
            ]
            self.indexes.write(NAME, "all", entries)
            said(stop)
        catalogue.publish(NAME, "all")
        return True

    def keep(self) -> None:
        """Read the index into memory, as a server does in the background once it has been asked."""
        self._loop.run_until_complete(self._retrieval.tables.keep(NAME))

    def kept(self) -> int:
        """How many images are in memory."""
        return self._retrieval.tables.entries

    def fast(self, query: Query, limit: int, *, kept: bool = True) -> Ranked:
        """Images for a tag at a place, by the mode fast; from the index alone if not ``kept``."""
        asked = Asked((query.tag,), self._tags[query.tag], Place(*query.place.tolist()), Filter(), limit)
        retrieval = self._retrieval if kept else self._from_index

        async def ask() -> Ranked:
            with self._requests.admit(None, _Context()) as work:
                return await retrieval.fast(NAME, asked, work)

        return self._loop.run_until_complete(ask())

    def close(self) -> None:
        """Stop threads and let go of the index."""
        self._loop.run_until_complete(self._retrieval.tables.close())
        self._loop.run_until_complete(self._ranker.close())
        self._loop.close()
        self.indexes.close()
        self._pool.shutdown()
