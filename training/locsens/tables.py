"""The thesis's Tables 5.1 and 5.2 and Fig. 5.4 from the results of `training.locsens.experiment`."""

from pathlib import Path
from typing import Any

import numpy as np

from training.locsens.scorer_task import SIGMAS

COLUMNS = ("location agnostic", "2500 km", "750 km", "200 km", "25 km", "1 km")


def _cell(value: dict[str, Any]) -> str:
    low, high = value["interval"]
    return f"{100 * value['mean']:.1f} ({100 * low:.0f}-{100 * high:.0f})"


def write_tables(results: dict[str, Any]) -> str:
    """Markdown of both tables; P@10 and A@k in per cent."""
    world = "a simulated world" if results["simulated"] else "real photos"
    lines = []
    for key, title in (("without_own", "the queries' own images are not ranked"), ("with_own", "they are")):
        lines += [
            f"P@10 on {world}, {results['queries']:,} queries, {results['photos']:,} images; {title}.", "",
            f"| method | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|",
        ]  # fmt: skip
        for name, scores in results["retrieval"].items():
            lines.append(f"| {name} | {' | '.join(map(_cell, scores[key]))} |")
        lines.append("")
    plain = ", ".join(f"{name} {100 * value:.2f}" for name, value in results["plain_p10"].items())
    lines += [f"P@10 of plain retrieval, a query for each tag of ten test images: {plain}.", ""]
    lines += [f"Tagging on {world}.", "", "| method | A@1 | A@10 | %pred | %cpred |", "|---|---|---|---|---|"]
    for name, scores in results["tagging"].items():
        cells = [_cell(scores["at_1"][0]), _cell(scores["at_10"][0])]
        cells += [f"{100 * scores[key]:.2f}" for key in ("predicted", "rightly")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def draw_sigma(results: dict[str, Any], file: Path) -> None:
    """Fig. 5.4: P@10 by σ at every threshold, and its difference from that of σ = 1."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    means = np.array(
        [
            [value["mean"] for value in results["retrieval"][f"LocSens, sampling {sigma:g}"]["without_own"]]
            for sigma in SIGMAS
        ]
    )
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2))
    for column, name in enumerate(COLUMNS):
        (line,) = left.plot(100 * means[:, column], marker="o", label=name)
        right.plot(100 * (means[:, column] - means[0, column]), marker="o", color=line.get_color())
        for variant, style in (("zeroed", ":"), ("raw", "--")):
            value = results["retrieval"][f"LocSens, {variant}"]["without_own"][column]["mean"]
            left.axhline(100 * value, color=line.get_color(), linestyle=style, linewidth=0.8)
    for axes, title in ((left, "P@10, %"), (right, "difference from σ = 1")):
        axes.set_xticks(range(len(SIGMAS)), [f"{sigma:g}" for sigma in SIGMAS])
        axes.set_xlabel("σ (dashed: raw; dotted: zeroed)" if axes is left else "σ")
        axes.set_title(title)
    left.legend(fontsize=8)
    figure.suptitle("simulated world" if results["simulated"] else "")
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    pyplot.close(figure)
