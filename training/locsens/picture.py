"""The picture of a world: where some tags are, and how often tags are beside real ones."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from training.datasets.yfcc import GeotaggedPhoto
from training.locsens.places import is_sea

SHOWN = {
    "surf": ("surf", "surfing", "surfboard", "surfer"),
    "ski": ("ski", "skiing", "skis", "snowboard", "skier"),
    "giraffe": ("giraffe", "giraffes", "zebra", "zebras"),
    "elephant": ("elephant", "elephants"),
    "baseball": ("baseball", "mlb"),
    "double-decker": ("doubledecker", "routemaster", "londonbus"),
    "sheep": ("sheep",),
    "boat": ("boat", "boats", "harbor"),
}
COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#17becf")
RANKS = 300


def draw_world(
    photos: Sequence[GeotaggedPhoto], frequencies: dict[str, Sequence[int]], out: Path, *, seed: int
) -> None:
    """Draw a world.

    Args:
        photos: all photos of the world.
        frequencies: photos of each tag, descending, by name of the set; the first is the world's.
        out: PNG file to write.
        seed: for the title, which also says that the world is simulated.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (world, bars) = pyplot.subplots(
        2, 1, figsize=(10, 8.2), height_ratios=(2.2, 1), layout="constrained", dpi=100
    )
    lat, lon = np.meshgrid(np.arange(83.75, -60, -0.25), np.arange(-179.875, 180, 0.25), indexing="ij")
    land = ~is_sea(lat.ravel(), lon.ravel()).reshape(lat.shape)
    world.imshow(land, extent=(-180, 180, -60, 84), cmap="Greys", vmin=0, vmax=6, aspect="auto")
    places = np.array([(photo.longitude, photo.latitude) for photo in photos])
    world.scatter(*places.T, s=3, c="0.55", linewidths=0, label=f"all {len(photos):,} photos")
    for number, (name, tags) in enumerate(SHOWN.items()):
        rows = [row for row, photo in enumerate(photos) if not set(tags).isdisjoint(photo.tags)]
        # A ring a photo: the rings of a spot lie over one another.
        world.scatter(
            *places[rows].T,
            s=26 + 9 * (number % 4),
            facecolors="none",
            edgecolors=COLOURS[number],
            linewidths=1.1,
            label=f"{name} ({len(rows):,})",
        )
    world.set(xlim=(-180, 180), ylim=(-58, 80), xticks=[], yticks=[])
    world.set_title(f"Simulated places of COCO photos (seed {seed}), and of photos with some tags")
    world.legend(loc="lower left", fontsize=8, ncols=1, framealpha=0.9)

    width = 0.9 / len(frequencies)
    edges = np.unique(np.round(np.geomspace(1, RANKS + 1, 22)).astype(int))
    for number, (name, found) in enumerate(frequencies.items()):
        counts = [*found, *[0] * RANKS][: max(len(found), RANKS)]  # small worlds have fewer tags
        shares = [np.mean(counts[low - 1 : high - 1]) / max(counts[9], 1) for low, high in _pairs(edges)]
        bars.bar(np.arange(len(shares)) + number * width, shares, width, label=name)
    bars.set_yscale("log")
    bars.set_xticks(
        np.arange(len(edges) - 1) + 0.45 - width / 2,
        [f"{low}" if high == low + 1 else f"{low}–{high - 1}" for low, high in _pairs(edges)],
        fontsize=7,
    )
    bars.set(xlabel="rank of the tag", ylabel="frequency, 10th tag = 1")
    bars.set_title("How fast frequencies fall")
    bars.legend()
    figure.savefig(out, metadata={"Software": None})
    pyplot.close(figure)


def descending(counts: Collection[int]) -> list[int]:
    """Frequencies for `draw_world`."""
    return sorted(counts, reverse=True)


def _pairs(edges: np.ndarray) -> list[tuple[int, int]]:
    return [(int(low), int(high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]
