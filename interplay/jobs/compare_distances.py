"""Job kind ``compare_distances``: do images lie as far apart as their texts do? (thesis, Fig. 4.13)

Random pairs of images with text: the cosine distance of the texts (x) against that of the images (y),
each divided by its largest, coloured by how many tags the two share. R² is that of the linear
regression of image distances on text distances.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from interplay.errors import InterplayError, InvalidInput
from interplay.jobs.build_index import entry_of
from interplay.jobs.image_set import ITEM_ERRORS, Found, ImageSetParams, ImageSetWork, SeenImage, pack, unpack
from interplay.jobs.work import JobContext, JobKind

# Colours of the thesis by shared tags: none, one, two, three, more.
COLOURS = ("#d62728", "#ff8c00", "#ffb766", "#e8d820", "#2ca02c")
NAMES = ("0", "1", "2", "3", "4 or more")
_MAX_TEXT_CHARACTERS = 2000


class CompareDistances(ImageSetParams):
    """Parameters of ``compare_distances``."""

    pairs: int = Field(20_000, ge=2, le=200_000, description="Random pairs of images.")


class CompareDistancesWork(ImageSetWork):
    """One attempt at the job, or a helper's part in one."""

    picture = "distances.png"

    def __init__(self, params: CompareDistances, context: JobContext) -> None:
        super().__init__(params, context)
        self._params = params

    def look(self, images: Sequence[SeenImage]) -> list[dict[str, Any] | InterplayError]:
        """Vectors of images and of their texts, and the images' tags."""
        texts: list[str] = []
        tags: list[list[str]] = []
        faults: dict[int, InterplayError] = {}
        for number, image in enumerate(images):
            try:
                entry = entry_of(image.item, "")
            except ITEM_ERRORS as error:
                faults[number] = error
                texts.append("")
                tags.append([])
                continue
            words = " ".join([entry.caption, *entry.tags])
            texts.append(words[:_MAX_TEXT_CHARACTERS])
            tags.append([tag.lower() for tag in entry.tags])
        vectors, understood = self.embed_texts(texts)
        answers: list[dict[str, Any] | InterplayError] = []
        for number, image_vector in enumerate(self.embed_images(images)):
            if number in faults:
                answers.append(faults[number])
            elif isinstance(image_vector, InterplayError):
                answers.append(image_vector)
            elif not vectors[number].any():
                answers.append(InvalidInput("it has no caption and no tags that the model knows"))
            else:
                known = tags[number] or list(understood[number].words)
                answers.append(
                    {
                        "image": image_vector,
                        "text": pack(vectors[number]),
                        "tags": sorted(set(known)),
                        "own_tags": bool(tags[number]),
                    }
                )
        return answers

    def report(self, found: list[Found]) -> tuple[bytes, dict[str, Any], dict[str, Any]]:
        """The plot, R², and medians by shared tags."""
        first, second = draw_pairs(len(found), self._params.pairs, self._params.seed)
        text = distances(unpack(one.answer["text"] for one in found), first, second)
        image = distances(unpack(one.answer["image"] for one in found), first, second)
        tags = [frozenset(one.answer["tags"]) for one in found]
        shared = np.array([len(tags[a] & tags[b]) for a, b in zip(first, second, strict=True)])
        r2, slope, intercept = regression(text, image)
        groups = {}
        for group, name in enumerate(NAMES):
            members = np.minimum(shared, len(NAMES) - 1) == group
            if members.any():
                groups[name] = {
                    "pairs": int(members.sum()),
                    "median_text_distance": round(float(np.median(text[members])), 4),
                    "median_image_distance": round(float(np.median(image[members])), 4),
                }
        own = sum(one.answer["own_tags"] for one in found)
        summary = {"pairs": len(first), "r2": round(r2, 4)}
        report = {
            "slope": round(slope, 4),
            "intercept": round(intercept, 4),
            "by_shared_tags": groups,
            "tags": "the set's" if own == len(found) else "words of the captions" if not own else "both",
        }
        return draw_plot(text, image, shared, r2), report, summary


def draw_pairs(count: int, wanted: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Random pairs of two different images; there may be fewer than wanted of a small set.

    Args:
        count: Images, at least 2.
        wanted: Pairs.
        seed: Of the draw.

    Returns:
        Numbers of the first and of the second images; no pair comes twice, in whatever order.
    """
    total = count * (count - 1) // 2
    rng = np.random.default_rng(seed)
    if total <= 4 * wanted:
        chosen = rng.permutation(total)[:wanted]
    else:  # few are drawn of many: again and again until there are enough
        chosen = np.unique(rng.integers(0, total, wanted))
        while len(chosen) < wanted:
            chosen = np.unique(np.append(chosen, rng.integers(0, total, wanted - len(chosen))))
    # Pairs (a, b), a > b, counted row by row: a(a-1)/2 of them come before row a.
    first = ((1 + np.sqrt(1 + 8 * chosen.astype(np.float64))) / 2).astype(np.int64)
    first -= first * (first - 1) // 2 > chosen
    first += (first + 1) * first // 2 <= chosen
    return first, chosen - first * (first - 1) // 2


def distances(
    vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Cosine distances of pairs, divided by the largest of them: in [0, 1]."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosines = np.einsum("nd,nd->n", unit[first], unit[second], dtype=np.float64)
    apart = np.maximum(1 - cosines, 0)
    return np.asarray(apart / max(float(apart.max(initial=0)), 1e-9))


def regression(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float, float]:
    """Coefficient of determination, slope and intercept of y on x; 0, 0 and the mean where x is one value."""
    spread = float(((x - x.mean()) ** 2).sum())
    total = float(((y - y.mean()) ** 2).sum())
    if spread < 1e-12 or total < 1e-12:
        return 0.0, 0.0, float(y.mean())
    slope = float(((x - x.mean()) * (y - y.mean())).sum()) / spread
    return slope**2 * spread / total, slope, float(y.mean() - slope * x.mean())


def draw_plot(
    text: NDArray[np.float64], image: NDArray[np.float64], shared: NDArray[np.int64], r2: float
) -> bytes:
    """PNG of the pairs, those with more shared tags above the others."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # No pyplot: its state is shared by all threads of a worker.
    figure = Figure(figsize=(7, 7), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="#404040", linewidth=1, linestyle="--", label="y = x", zorder=9)
    for group, (colour, name) in enumerate(zip(COLOURS, NAMES, strict=True)):
        members = np.minimum(shared, len(COLOURS) - 1) == group
        if members.any():
            axes.scatter(
                text[members], image[members], s=5, color=colour, linewidths=0, alpha=0.8,
                label=f"{name} ({members.sum():,} pairs)", zorder=2 + group, rasterized=True,
            )  # fmt: skip
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set_xlabel("distance of the texts")
    axes.set_ylabel("distance of the images")
    axes.set_title(f"{len(text):,} random pairs, R² = {r2:.3f}")
    axes.legend(title="shared tags", loc="lower right", markerscale=3, framealpha=0.9)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


KIND = JobKind(
    name="compare_distances",
    summary="Plot the distance of images against the distance of their texts, for random pairs, with R²",
    params=CompareDistances,
    example={"input": "photos/list.jsonl", "pairs": 20000},
    start=CompareDistancesWork,
    capabilities=("embedding",),
    parallel=4,
)
