"""The styles of this server: which model has which, how they look, and which is nearest to a picture."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from interplay.errors import InvalidParameter
from interplay.media.images import encode_png
from interplay.predictors.style_transfer.stylist import StyleItem
from interplay.predictors.style_transfer.words import Colour, draw_words
from interplay.serving.batcher import Batcher
from interplay.store import Manifest
from interplay.types import Image
from services.style_transfer.options import Mix

_SAMPLE_WORD = "Style"
_SAMPLE_HEIGHT = 56
_SAMPLES_DEADLINE_S = 60.0

Styling = Batcher[StyleItem, Image]


@dataclass(frozen=True)
class StyleEntry:
    """A style.

    Attributes:
        name: Unique on the server.
        domain: ``scene``, ``print`` or ``handwriting``.
        model: Name of the model that has it.
        row: Its row in that model.
        ink, paper: Colours of letters and background in the picture that it was learned from.
    """

    name: str
    domain: str
    model: str
    row: int
    ink: Colour
    paper: Colour


class Catalogue:
    """All styles by name.

    Args:
        manifests: Of the style models, in the order in which their styles are listed.
        selective: Manifest of the end-to-end model; its styles are some of the others.
    """

    def __init__(self, manifests: Sequence[Manifest], selective: Manifest) -> None:
        self.selective = selective
        self.entries: dict[str, StyleEntry] = {}
        for manifest in manifests:
            facts = manifest.details["styles"]
            for row, (name, fact) in enumerate(zip(manifest.labels, facts, strict=True)):
                if name in self.entries:
                    raise ValueError(
                        f"{manifest.name} and {self.entries[name].model} both have a style {name!r}"
                    )
                self.entries[name] = StyleEntry(
                    name,
                    manifest.details["domain"],
                    manifest.name,
                    row,
                    tuple(fact["ink"]),
                    tuple(fact["paper"]),
                )

    def model_of(self, mix: Mix, field: str) -> str:
        """The model that has all styles of a mix.

        Raises:
            InvalidParameter: They belong to several.
        """
        models = {self.entries[name].model for name in mix}
        if len(models) > 1:
            listed = ", ".join(f"{name} ({self.entries[name].domain})" for name in mix)
            raise InvalidParameter(
                f"{field} mixes styles of several domains, which have no common model: {listed}", field=field
            )
        return models.pop()

    def check_end_to_end(self, mix: Mix, field: str) -> None:
        """Refuse styles that the end-to-end model does not have.

        Raises:
            InvalidParameter: Names them.
        """
        missing = [name for name in mix if name not in self.selective.labels]
        if missing:
            raise InvalidParameter(
                f"{field}: the end-to-end model has no style {missing[0]!r}; take the mode SELECTIVE",
                field=field,
            )

    def colours(self, mix: Mix) -> tuple[Colour, Colour]:
        """Ink and paper of a mix: the mean of its styles' by weight."""
        total = sum(mix.values())
        weights = {name: weight / total if total else 1 / len(mix) for name, weight in mix.items()}

        def mean(attribute: str) -> Colour:
            colours = [getattr(self.entries[name], attribute) for name in weights]
            r, g, b = np.array(list(weights.values())) @ np.array(colours)  # (3,)
            return float(r), float(g), float(b)

        return mean("ink"), mean("paper")


def mix_weights(mix: Mix, labels: Sequence[str]) -> NDArray[np.float32]:
    """Weights of a mix in the order of a model's styles, (styles,)."""
    return np.array([mix.get(name, 0.0) for name in labels], dtype=np.float32)


class Samples:
    """A drawn word in every style, made when first asked for: thumbnails, and what "nearest" compares.

    Args:
        catalogue: The styles.
        styling: Batchers of the style models by name.
        describing: Batcher of the perceptual network.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        styling: Mapping[str, Styling],
        describing: Batcher[Image, NDArray[np.float32]],
    ) -> None:
        self._catalogue = catalogue
        self._styling = styling
        self._describing = describing
        self._lock = asyncio.Lock()
        self._pictures: dict[str, Image] = {}
        self._thumbnails: dict[str, bytes] = {}
        self._vectors: dict[str, NDArray[np.float32]] = {}

    async def thumbnails(self) -> dict[str, bytes]:
        """PNG by style name."""
        async with self._lock:
            if not self._thumbnails:
                pictures = await self._draw()
                self._thumbnails = await asyncio.to_thread(
                    lambda: {name: encode_png(picture) for name, picture in pictures.items()}
                )
            return self._thumbnails

    async def nearest(self, picture: Image, domain: str = "scene") -> str:
        """The style of a domain whose sample is most like a picture of a word."""
        wanted = await self._describe(picture)
        async with self._lock:
            if not self._vectors:  # set as a whole: a caller that goes away meanwhile must not leave half
                samples = await self._draw()
                self._vectors = {name: await self._describe(sample) for name, sample in samples.items()}
        names = [name for name, entry in self._catalogue.entries.items() if entry.domain == domain]
        return min(names, key=lambda name: float(np.square(self._vectors[name] - wanted).sum()))

    async def _draw(self) -> dict[str, Image]:
        if not self._pictures:
            names = list(self._catalogue.entries)
            pictures = await asyncio.gather(*(self._sample(name) for name in names))
            self._pictures = dict(zip(names, pictures, strict=True))
        return self._pictures

    async def _sample(self, name: str) -> Image:
        entry = self._catalogue.entries[name]
        drawn = await asyncio.to_thread(draw_words, _SAMPLE_WORD, _SAMPLE_HEIGHT, entry.ink, entry.paper)
        batcher = self._styling[entry.model]
        item = StyleItem(drawn.image, mix_weights({name: 1.0}, batcher.runtime.manifest.labels))
        height, width = drawn.image.shape[:2]
        picture, _ = await batcher.submit(
            item, bucket=(height, width), pixels=height * width, deadline=monotonic() + _SAMPLES_DEADLINE_S
        )
        return picture

    async def _describe(self, picture: Image) -> NDArray[np.float32]:
        height, width = picture.shape[:2]
        vector, _ = await self._describing.submit(
            picture, bucket=None, pixels=height * width, deadline=monotonic() + _SAMPLES_DEADLINE_S
        )
        return vector
