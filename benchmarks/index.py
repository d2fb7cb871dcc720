"""The embedded index beside FAISS and LanceDB: build time, size, search time and recall, with geo filters.

    python -m benchmarks.index                                    (200,000 vectors)
    python -m benchmarks.index --sizes 10000 30000 100000 300000 1000000 --engines interplay \\
        --plot docs/images/embedding-index.png
    python -m benchmarks.index --sizes 40000 --vectors VECTORS.npy      (of your own photos)

Queries are words and photos in turn; ``benchmarks.index_world`` says how both are made. Recall is against
the exact answer (numpy). Circles lie around random entries and hold a part of all. 1,000 other queries
warm up each engine. Settings were chosen on seed 0, the default seed is another. One thread asks; the
libraries use the cores as they like. FAISS and LanceDB are no part of the project: ``pip install faiss-cpu
lancedb``; engines that are not installed are left out.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from benchmarks.index_engines import ENGINES, Engine
from benchmarks.index_world import Circle, World
from benchmarks.report import machine, print_table, write

_CIRCLES = 20


def measure(
    engine: Engine, world: World, circles: list[Circle] | None, truth: list[set[int]]
) -> dict[str, float]:
    """Times in milliseconds and recall of all queries, each in one of the circles if there are any."""
    seconds, recall = [], []
    for number, query in enumerate(world.queries):
        circle = None if circles is None else circles[number % len(circles)]
        started = perf_counter()
        found = engine.search(query, circle)
        seconds.append(perf_counter() - started)
        recall.append(len(truth[number] & set(found)) / max(1, len(truth[number])))
    return {
        "ms": 1000 * float(np.median(seconds)),
        "p95_ms": 1000 * float(np.quantile(seconds, 0.95)),
        "recall": float(np.mean(recall)),
        "words": float(np.mean(recall[0::2])),
        "photos": float(np.mean(recall[1::2])),
    }


def measure_engine(
    name: str,
    world: World,
    cases: dict[float, list[Circle]],
    truth: list[list[set[int]]],
    folder: Path,
) -> dict[str, Any]:
    """Build an engine, or open what is kept of it, and ask it everything."""
    engine = ENGINES[name]()
    built_s = None
    folder = folder / engine.settings
    try:
        used = engine.open(world, folder)
    except FileNotFoundError:
        started = perf_counter()
        used = engine.build(world, folder)
        built_s = perf_counter() - started
    for query in world.others:
        engine.search(query, None)
    result = {
        "vectors": len(world.vectors),
        "engine": name,
        "build_s": built_s,
        "bytes_a_vector": used / len(world.vectors),
        "free": measure(engine, world, None, truth[0]),
        "circles": [
            {"part": part, **measure(engine, world, circles, truth[number])}
            for number, (part, circles) in enumerate(cases.items(), start=1)
        ],
    }
    engine.close()
    return result


def tables(results: list[dict[str, Any]]) -> None:
    """Print what was measured."""
    plain, filtered = [], []
    for result in results:
        of = {"vectors": f"{result['vectors']:,}", "engine": result["engine"]}
        free, built_s = result["free"], result["build_s"]
        plain.append(
            {
                **of,
                "build": "kept" if built_s is None else f"{built_s:.0f} s",
                "bytes a vector": f"{result['bytes_a_vector']:,.0f}",
                "median": f"{free['ms']:.2f} ms",
                "95 %": f"{free['p95_ms']:.2f} ms",
                "recall@10": f"{free['recall']:.3f}",
                "of words": f"{free['words']:.3f}",
                "of photos": f"{free['photos']:.3f}",
            }
        )
        filtered.append(
            of | {f"{c['part']:.1%}": f"{c['recall']:.3f} in {c['ms']:.1f} ms" for c in result["circles"]}
        )
    print_table("Without a filter", plain)
    if filtered and len(filtered[0]) > 2:
        print_table("In circles that hold a part of all entries: recall@10 and median time", filtered)


def plot(results: list[dict[str, Any]], target: Path) -> None:
    """Recall, time and build time against the number of vectors."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
    for name in dict.fromkeys(result["engine"] for result in results):
        mine = [result for result in results if result["engine"] == name]
        sizes = [result["vectors"] for result in mine]
        series = {"no filter": [result["free"] for result in mine]}
        for number, case in enumerate(mine[0]["circles"]):
            series[f"circle of {case['part']:.1%}"] = [result["circles"][number] for result in mine]
        for label, values in series.items():
            label = label if name == "interplay" else f"{name}, {label}"
            axes[0].plot(sizes, [value["recall"] for value in values], "o-", label=label)
            axes[1].plot(sizes, [value["ms"] for value in values], "o-", label=label)
        built = [(n, result["build_s"]) for n, result in zip(sizes, mine, strict=True) if result["build_s"]]
        axes[2].plot([n for n, _ in built], [seconds for _, seconds in built], "o-", label=name)
    for axis, title in zip(axes, ("recall@10", "median search, ms", "build, s"), strict=True):
        axis.set(title=title, xscale="log", xlabel="vectors")
        axis.grid(alpha=0.3)
    axes[0].set_ylim(0.9, 1.005)
    axes[1].set_yscale("log")
    axes[2].set_yscale("log")
    axes[1].legend(fontsize=7)
    target.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(target, dpi=110)
    print(f"\nwrote {target}")


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[200_000])
    parser.add_argument("--queries", type=int, default=400)
    parser.add_argument("--selectivities", type=float, nargs="*", default=[0.001, 0.01, 0.03, 0.1, 0.3])
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--local", type=float, default=0.0, help="part of the photos that are like their city"
    )
    parser.add_argument("--vectors", type=Path, help=".npy of (N, D) vectors of photos instead of made ones")
    parser.add_argument("--keep", type=Path, help="keep the indexes here, and use those that are")
    parser.add_argument("--plot", type=Path, help="draw the figures over the sizes (needs matplotlib)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    real = np.load(args.vectors) if args.vectors else None
    source = args.vectors.stem if args.vectors else f"local{args.local:g}"
    results: list[dict[str, Any]] = []
    print(machine(), flush=True)
    for size in args.sizes:
        world = World.make(size, args.queries, args.seed, args.local, real)
        cases = {part: world.circles(part, _CIRCLES, args.seed) for part in args.selectivities}
        truth = world.exact([None, *cases.values()])
        for name in args.engines:
            module = ENGINES[name]().module
            if module and importlib.util.find_spec(module) is None:
                print(f"{name}: {module} is not installed, left out")
                continue
            with tempfile.TemporaryDirectory() as scratch:
                folder = (args.keep or Path(scratch)) / f"{source}-{size}-seed{args.seed}"
                results.append(measure_engine(name, world, cases, truth, folder))
            gc.collect()
            tables(results[-1:])
    tables(results)
    write(args.out, {"results": results})
    if args.plot:
        plot(results, args.plot)


if __name__ == "__main__":
    main()
