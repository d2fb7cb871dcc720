"""LocSens: images for a tag at a place, plain, exact and fast; tags of an image, exact and fast.

    python -m benchmarks.locsens                                  (random vectors, untrained network: speed)
    python -m benchmarks.locsens --world WORLD --features FEATURES --store model_store \\
        --sizes 1000 10000 100000 200000 1000000 --keep /tmp/indexes --plot docs/images/locsens-speed.png

"plain" concatenates image, tag and place and runs the whole network with torch's own group norm, in its
best chunk size. "exact" scores all images from parts that were computed once
(``TripletScorer.score_images``). "fast" is the server's mode of that name (``services.locsens.retrieval``)
with an embedded index, without gRPC: images in memory, as a server keeps them, and "from the index", as it
answers until it has read them, or where there are too many. All have the same weights, in float32. The
floor is the time that plain matrix products of the layers that "exact" has left take, without norms and
rectifiers; its least time is compared with it. The ways take turns, every five queries; all get the same.

WORLD and FEATURES are those of ``training.locsens.world`` and ``training.locsens.features``. Beyond a world's
photos, images are mixtures of them with noise, at real coordinates (``benchmarks.locsens_world``); quality is
measured on the world's photos alone.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import locsens_quality as quality
from benchmarks.locsens_plot import WAYS, plot
from benchmarks.locsens_ways import Plain, Server, floor, layers
from benchmarks.locsens_world import (
    Models,
    Photos,
    open_models,
    queries,
    random_photos,
    read_photos,
    synthetic_tagger,
    untrained_models,
)
from benchmarks.report import machine, print_table, write
from interplay.predictors.locsens.tagger import TagItem
from interplay.settings import available_cores
from training.locsens.protocol import TOP, Query

T = TypeVar("T")

# What is aimed at, and at how many images.
AIMED_AT = 200_000
AIMS = {"exact over plain": 5.0, "fast over exact": 50.0, "fast ms": 150.0, "kept": 0.98, "tag ms": 50.0}
_TOLERANCE = 1e-3
_TUNED_ON = 8192
_FEWEST_PLAIN = 2
_BLOCK = 5  # queries that a way is asked before it is the next one's turn


def milliseconds(seconds: list[float]) -> dict[str, float]:
    """Median and least."""
    return {"ms": 1000 * float(np.median(seconds)), "least_ms": 1000 * min(seconds)}


def spent(into: list[float], function: Callable[[], T]) -> T:
    """A function's answer; the seconds that it took are added to a list."""
    started = perf_counter()
    answer = function()
    into.append(perf_counter() - started)
    return answer


def say(text: str) -> None:
    """Progress, which is no part of the tables."""
    print(text, file=sys.stderr, flush=True)


def measure_size(
    models: Models, photos: Photos, asked: list[Query], plain: Plain, plain_queries: int, folder: Path
) -> dict[str, Any]:
    """Times and scores of all ways over one set of images."""
    size, scorer, vectors = len(photos.vectors), models.ranker.scorer, photos.vectors
    started = perf_counter()
    parts = scorer.image_parts(vectors)
    parts_s = perf_counter() - started
    server = Server(folder, models)
    try:
        started = perf_counter()
        built = server.build(photos, lambda done: say(f"  written {done:,}") if done % 102_400 == 0 else None)
        build_s = perf_counter() - started if built else None
        started = perf_counter()
        server.keep()
        keep_s = perf_counter() - started
        for query in asked[:3]:  # warm up
            server.fast(query, TOP)
            scorer.score_images(parts, (query.tag,), query.place)
        seconds: dict[str, list[float]] = {"plain": [], "exact": [], "fast": [], "from_index": []}
        found, scored, differences, floors = [], [], [], []
        for start in range(0, len(asked), _BLOCK):
            say(f"  query {start + 1} of {len(asked)}")
            block = asked[start : start + _BLOCK]
            exact = [
                spent(seconds["exact"], lambda q=query: scorer.score_images(parts, (q.tag,), q.place))
                for query in block
            ]
            ranked = [spent(seconds["fast"], lambda q=query: server.fast(q, TOP)) for query in block]
            for query in block:
                spent(seconds["from_index"], lambda q=query: server.fast(q, TOP, kept=False))
            floors.append(floor(layers(scorer.model, all_of_them=False))[0])
            for theirs, ours in zip(exact, ranked, strict=True):
                best = set(np.argsort(-theirs, kind="stable")[:TOP].tolist())
                found.append(len(best & {int(hit.entry.id) for hit in ours.hits}) / len(best))
                scored.append(ours.scored)
            for query, theirs in list(zip(block, exact, strict=True))[: max(0, plain_queries - start)]:
                scores = spent(seconds["plain"], lambda q=query: plain.score(vectors, q.tag, q.place))
                differences.append(float(np.abs(scores - theirs).max()))
    finally:
        server.close()
    result: dict[str, Any] = {"images": size, "parts_s": parts_s, "build_s": build_s, "keep_s": keep_s}
    result |= {way: milliseconds(times) for way, times in seconds.items()}
    result["floor"] = {"ms": 1000 * size * min(floors)}
    return result | {
        "exact_over_plain": result["plain"]["ms"] / result["exact"]["ms"],
        "fast_over_exact": result["exact"]["ms"] / result["fast"]["ms"],
        "exact_over_floor": result["exact"]["least_ms"] / result["floor"]["ms"],
        "scored_by_fast": float(np.mean(scored)),
        "found_by_fast": float(np.mean(found)),
        "largest_difference": max(differences),
    }


def measure_speed(args: argparse.Namespace, models: Models, known: Photos) -> dict[str, Any]:
    """The curve over the sizes."""
    network = models.ranker.scorer.model
    plain = Plain(network, models.tags)
    chunk = plain.tune(known.grown(_TUNED_ON, args.seed).vectors)
    work = {}
    for name, all_of_them in (("plain", True), ("exact", False)):
        shapes = layers(network, all_of_them=all_of_them)
        work[name] = {
            "multiply_adds_an_image": sum(inner * outer for inner, outer in shapes),
            "gflops": floor(shapes)[1],
        }
    asked = queries(known, len(models.tags), args.queries, args.seed)
    rows = []
    for size in args.sizes:
        say(f"{size:,} images")
        photos = known.grown(size, args.seed)
        fewer = args.queries if size <= 20_000 else max(_FEWEST_PLAIN, args.queries * 20_000 // size)
        with tempfile.TemporaryDirectory() as scratch:
            folder = (args.keep or Path(scratch)) / f"locsens-{models.manifest.name}-{size}-seed{args.seed}"
            rows.append(measure_size(models, photos, asked, plain, fewer, folder))
        del photos
        gc.collect()
        speed_table(rows[-1:])
    return {"plain_chunk": chunk, "work": work, "sizes": rows}


def measure_tagging(models: Models, known: Photos, count: int, sizes: list[int], seed: int) -> list[dict]:
    """Milliseconds a photo after the backbone, for vocabularies of any size."""
    rng = np.random.default_rng([seed, 8])
    images = rng.integers(0, known.test or len(known.vectors), count)
    rows = []
    for size in sorted({len(models.tags), *sizes}):
        say(f"{size:,} tags")
        real = models.trained and size == len(models.tags)
        tagger, tags = (models.tagger, models.tags) if real else synthetic_tagger(models, known, size, seed)
        seconds: dict[str, list[float]] = {"exact": [], "fast": [], "alone": []}
        scored = []
        for image in images:
            vector, place = known.vectors[image], known.places[image]
            started = perf_counter()
            chances = alone(models, known, tags, int(image), real)
            seconds["alone"].append(perf_counter() - started)
            for way in ("exact", "fast"):
                item = TagItem(vector, chances, place, exact=way == "exact")
                started = perf_counter()
                found = tagger.tag(item)
                seconds[way].append(perf_counter() - started + seconds["alone"][-1])
            scored.append(len(found.tags))
        row: dict[str, Any] = {"tags": size, "real": real, "scored_by_fast": float(np.mean(scored))}
        rows.append(row | {way: milliseconds(times) for way, times in seconds.items()})
    return rows


def alone(models: Models, known: Photos, tags: NDArray[np.float32], image: int, real: bool) -> NDArray:
    """(V,) what an image says of tags without a place: by the image model, or by products with vectors."""
    if real and models.image is not None and known.features is not None:
        feature = torch.from_numpy(known.features[[image]].astype(np.float32))
        return models.image.tag_features(feature)[0].chances
    # By torch: another library's threads would fight its own for the cores.
    products = torch.from_numpy(tags) @ torch.from_numpy(known.vectors[image])
    return torch.softmax(10 * products, 0).numpy()


def speed_table(rows: list[dict[str, Any]]) -> None:
    """Print the curve."""
    print_table(
        "Images for a tag at a place: median time (least)",
        [
            {
                "images": f"{row['images']:,}",
                **{WAYS[way]: f"{row[way]['ms']:,.1f} ms ({row[way]['least_ms']:,.1f})" for way in WAYS},
                "floor": f"{row['floor']['ms']:,.1f} ms",
                "exact over plain": f"{row['exact_over_plain']:.1f}",
                "exact over floor": f"{row['exact_over_floor']:.2f}",
                "fast over exact": f"{row['fast_over_exact']:.1f}",
                "scored by fast": f"{row['scored_by_fast']:,.0f}",
                "exact's top 10 found": f"{row['found_by_fast']:.2f}",
                "largest difference": f"{row['largest_difference']:.1e}",
            }
            for row in rows
        ],
    )
    sys.stdout.flush()


def tagging_table(rows: list[dict[str, Any]]) -> None:
    """Print the curve of vocabularies."""
    print_table(
        "Tags of an image at a place, after the backbone: median time (least)",
        [
            {
                "tags": f"{row['tags']:,}{'' if row['real'] else ' (synthetic)'}",
                **{way: f"{row[way]['ms']:.2f} ms ({row[way]['least_ms']:.2f})" for way in ("exact", "fast")},
                "without a place": f"{row['alone']['ms']:.2f} ms",
                "scored by fast": f"{row['scored_by_fast']:,.0f}",
            }
            for row in rows
        ],
    )


def aims(results: dict[str, Any]) -> list[dict[str, Any]]:
    """What is aimed at beside what was measured; without what was not."""
    at = next((row for row in results["speed"]["sizes"] if row["images"] == AIMED_AT), None)
    real = next((row for row in results["tagging"] if row["real"]), None)
    rows: list[tuple[str, str, float, bool]] = []
    if at is not None:
        of = f"of {AIMED_AT:,}"
        ratio, exact, ms = at["exact_over_plain"], at["fast_over_exact"], at["fast"]["ms"]
        rows += [
            (f"plain / exact {of}", ">= 5", ratio, ratio >= AIMS["exact over plain"]),
            (f"exact / fast {of}", ">= 50", exact, exact >= AIMS["fast over exact"]),
            (f"fast {of}, ms", "<= 150", ms, ms <= AIMS["fast ms"]),
        ]
    for judged in results["retrieval_quality"]:
        kept = min(judged["kept"].values())
        rows.append((f"P@10, fast / exact, {judged['photos']}", ">= 0.98", kept, kept >= AIMS["kept"]))
    if results["tagging_quality"]:
        kept = results["tagging_quality"]["kept"]["at_10"]
        rows.append(("A@10, fast / exact", ">= 0.98", kept, kept >= AIMS["kept"]))
    if real is not None:
        ms = max(real[way]["ms"] for way in ("exact", "fast"))
        rows.append(("tagging, ms", "<= 50", ms, ms <= AIMS["tag ms"]))
    return [
        {"what": what, "aim": aim, "measured": round(value, 3), "reached": "yes" if reached else "no"}
        for what, aim, value, reached in rows
    ]


def parse() -> argparse.Namespace:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, help="folder of training.locsens.world")
    parser.add_argument("--features", type=Path, help="folder of training.locsens.features")
    parser.add_argument("--store", type=Path, help="model store; an untrained network without one")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 200_000])
    parser.add_argument("--vocabularies", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument(
        "--queries", type=int, default=20, help="asked at every size; plain has fewer of many"
    )
    parser.add_argument("--tagged", type=int, default=50, help="photos whose tagging is timed")
    parser.add_argument(
        "--judged", type=int, default=1000, help="queries and photos that quality is judged by, at most"
    )
    parser.add_argument("--threads", type=int, default=available_cores())
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="keep the indexes here, and use those that are")
    parser.add_argument("--plot", type=Path, help="draw the curves (needs matplotlib)")
    parser.add_argument("--out", type=Path, help="write the figures as JSON")
    args = parser.parse_args()
    if len({args.world is None, args.features is None}) == 2 or (args.world and not args.store):
        parser.error("--world, --features and --store belong together")
    return args


def main() -> None:
    """Command line; see the module docstring."""
    args = parse()
    torch.set_num_threads(args.threads)
    print(machine(), f"{args.threads} threads", flush=True)
    models = open_models(args.store) if args.store else untrained_models(args.seed)
    if args.world:
        known = read_photos(args.world, args.features, models.image)
        print(
            f"images: {len(known.vectors):,} photos of {args.world}; beyond them, mixtures of their vectors"
        )
    else:
        known = random_photos(20_000, models.tags.shape[1], args.seed)
        print("images: random vectors")
    results: dict[str, Any] = {
        "threads": args.threads,
        "world": str(args.world) if args.world else None,
        "trained": models.trained,
        "speed": measure_speed(args, models, known),
        "retrieval_quality": [],
        "tagging_quality": {},
    }
    results["tagging"] = measure_tagging(models, known, args.tagged, args.vocabularies, args.seed)
    if args.world:
        with tempfile.TemporaryDirectory() as scratch:
            for count, name in ((known.test, "test photos"), (len(known.vectors), "all photos")):
                folder = (args.keep or Path(scratch)) / f"locsens-{models.manifest.name}-first{count}"
                results["retrieval_quality"].append(
                    quality.retrieval(models, known, count, name, args.judged, args.seed, folder)
                )
        results["tagging_quality"] = quality.tagging(models, known, args.judged)
    speed = results["speed"]
    print(f"\nplain takes {speed['plain_chunk']:,} images at a time")
    for name, work in speed["work"].items():
        print(
            f"{name}: {work['multiply_adds_an_image']:,} multiply-adds an image; matrix products of its "
            f"shapes run at {work['gflops']:.0f} GFLOP/s"
        )
    speed_table(speed["sizes"])
    tagging_table(results["tagging"])
    quality.tables(results["retrieval_quality"], results["tagging_quality"])
    results["aims"] = aims(results)
    print_table("Aims", results["aims"])
    write(args.out, results)
    if args.plot:
        plot(results, args.plot)
    worst = max(row["largest_difference"] for row in speed["sizes"])
    if worst > _TOLERANCE:
        sys.exit(f"plain and exact differ by {worst:.1e}, above {_TOLERANCE:.0e}")


if __name__ == "__main__":
    main()
