"""Which stored models can be served, and how: one row an architecture.

Model servers, the packager (``interplay models package``) and the handler inside an archive all open a
model by its row, so that the same predictor answers wherever a batch is run. Rows name code by strings:
nothing heavy is imported before it is needed. A new architecture is one more row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from interplay.errors import NotFound
from interplay.store import Manifest, StoredModel, resolve


@dataclass(frozen=True)
class Source:
    """What is to be opened, and for what device.

    Attributes:
        store: Root of the model store.
        name: Of the model.
        version: The newest if None.
        device: ``auto``, ``cpu`` or ``cuda``.
        threads: Threads of one CPU inference, for the whole process.
    """

    store: Path
    name: str
    version: int | None = None
    device: str = "auto"
    threads: int | None = None


@dataclass(frozen=True)
class Served:
    """How models of one architecture are served.

    Attributes:
        architecture: Of the manifest.
        opener: ``module:function``; takes the verified entry and the ``Source``, gives the predictor.
        wire: ``module:class`` of the dataclasses that its items and results are made of.
        needs: Names of the further store entries that a model of it is opened with.
    """

    architecture: str
    opener: str
    wire: tuple[str, ...]
    needs: Callable[[Manifest], tuple[str, ...]] = lambda manifest: ()


def _backbone(manifest: Manifest) -> tuple[str, ...]:
    name = manifest.details.get("backbone")
    return (name,) if name else ()


def _location_image(manifest: Manifest) -> tuple[str, ...]:
    return ("locsens-image",)


_OPENING = "interplay.predictors.opening"
_INSIDE = "interplay.predictors.embedding.inside"
_LOCSENS = "interplay.predictors.locsens"
_HATE = "interplay.predictors.hate_classifier"

SERVED: tuple[Served, ...] = (
    Served("textfcn", f"{_OPENING}:text_segmenter", ("interplay.types:Heatmap",)),
    Served(
        "style_transformer",
        f"{_OPENING}:stylist",
        ("interplay.predictors.style_transfer.stylist:StyleItem",),
    ),
    Served("perceptual", f"{_OPENING}:style_describer", ()),
    Served(
        "embedding_head",
        f"{_OPENING}:image_network",
        (
            "interplay.predictors.embedding.image:ImageVector",
            *(
                f"{_INSIDE}:{name}"
                for name in ("LookItem", "UnitAnswers", "Aim", "DreamItem", "DreamGradient")
            ),
        ),
        _backbone,
    ),
    Served(
        "word_table",
        f"{_OPENING}:text_embedder",
        tuple(f"interplay.predictors.embedding.text:{name}" for name in ("TextItem", "TextVector")),
    ),
    Served("tag_head", f"{_OPENING}:image_tagger", (f"{_LOCSENS}.image:TaggedImage",), _backbone),
    Served(
        "locsens",
        f"{_OPENING}:place_scorer",
        (
            f"{_LOCSENS}.scorer:TripletItem",
            *(f"{_LOCSENS}.retriever:{name}" for name in ("ScoreItem", "PartsItem", "PreferenceItem")),
            *(f"{_LOCSENS}.tagger:{name}" for name in ("TagItem", "PlacedTags")),
            "interplay.models.locsens:CentredParts",
        ),
        _location_image,
    ),
    Served(
        "hate_classifier",
        f"{_OPENING}:hate_classifier",
        tuple(f"{_HATE}.answers:{name}" for name in ("PostItem", "PostAnswer", "WordWeight")),
        _backbone,
    ),
)
_BY_ARCHITECTURE = {row.architecture: row for row in SERVED}


def served(manifest: Manifest) -> Served:
    """The row of a model.

    Raises:
        NotFound: It is a part of other models and answers nothing by itself.
    """
    row = _BY_ARCHITECTURE.get(manifest.architecture)
    if row is None:
        known = ", ".join(sorted(_BY_ARCHITECTURE))
        raise NotFound(
            f"{manifest.name} cannot be served by itself: its architecture is {manifest.architecture!r}; "
            f"those that can: {known}"
        )
    return row


def is_served(manifest: Manifest) -> bool:
    """Whether a model answers by itself."""
    return manifest.architecture in _BY_ARCHITECTURE


def open_predictor(source: Source) -> Any:
    """The ``Predictor`` of a stored model.

    Raises:
        NotFound: The store has no such model, or it is not served by itself.
        InternalError: It is damaged.
    """
    stored = resolve(source.store, source.name, source.version)
    opener: Callable[[StoredModel, Source], Any] = load(served(stored.manifest).opener)
    return opener(stored, source)


def wire_types(manifest: Manifest) -> tuple[type, ...]:
    """Dataclasses of a model's items and results."""
    return tuple(load(path) for path in served(manifest).wire)


def load(path: str) -> Any:
    """What ``module:name`` names."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
