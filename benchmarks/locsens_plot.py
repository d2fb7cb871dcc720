"""The curves of ``benchmarks.locsens``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

# What is measured, and how it is called.
WAYS = {"plain": "plain", "exact": "exact", "fast": "fast", "from_index": "fast, from the index"}


def plot(results: dict[str, Any], target: Path) -> None:
    """Time against the number of images, and of tags; both axes logarithmic."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    sizes = results["speed"]["sizes"]
    for way, label in (WAYS | {"floor": "arithmetic of exact alone"}).items():
        style = "k:" if way == "floor" else "o-"
        axes[0].plot([row["images"] for row in sizes], [row[way]["ms"] for row in sizes], style, label=label)
    axes[0].set(title="images for a tag at a place", xlabel="images")
    tagging = results["tagging"]
    for way in ("exact", "fast"):
        axes[1].plot([row["tags"] for row in tagging], [row[way]["ms"] for row in tagging], "o-", label=way)
    axes[1].set(title="tags of an image, after the backbone", xlabel="tags of the vocabulary")
    for axis in axes:
        axis.set(xscale="log", yscale="log", ylabel="median, ms")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    print(f"\nwrote {target}")
