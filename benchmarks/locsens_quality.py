"""What the modes fast lose, or gain, against the modes exact: on the photos of a world, by the protocol."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.locsens_ways import Server
from benchmarks.locsens_world import Models, Photos
from benchmarks.report import print_table
from interplay.predictors.locsens.tagger import TagItem
from training.locsens.protocol import (
    THRESHOLD_NAMES,
    TOP,
    Query,
    TaggedPlaces,
    make_queries,
    retrieval_precision,
    tagging_scores,
)

_SAID_EVERY = 250


def retrieval(
    models: Models, known: Photos, count: int, name: str, judged: int, seed: int, folder: Path
) -> dict[str, Any]:
    """P@10 of both modes at every threshold, over the first photos; queries are those of the test part.

    Images that a query was made of are in no ranking.

    Args:
        models: The published ones.
        known: Photos of a world.
        count: How many of them are searched.
        name: What these are called.
        judged: Queries, at most; a random choice of the protocol's.
        seed: Of the queries.
        folder: Of the index.
    """
    vocabulary = len(models.tags)
    photos = known.protocol(count, vocabulary)
    made = make_queries(known.protocol(known.test, vocabulary), seed)
    rows = np.random.default_rng([seed, 9]).permutation(len(made))[:judged]
    asked = [made[row] for row in np.sort(rows)]
    scorer, server = models.ranker.scorer, Server(folder, models)
    parts = scorer.image_parts(known.vectors[:count])
    found: list[float] = []

    def scores(some: list[Query]) -> tuple[np.ndarray, np.ndarray]:
        exact = np.stack([scorer.score_images(parts, (query.tag,), query.place) for query in some])
        fast = np.full_like(exact, -np.inf)
        for number, query in enumerate(some):
            for hit in server.fast(query, TOP + len(query.images)).hits:
                fast[number, int(hit.entry.id)] = hit.score
            theirs, ours = (best(row[number], query) for row in (exact, fast))
            found.append(len(np.intersect1d(theirs, ours)) / len(theirs))
        return exact, fast

    def best(row: np.ndarray, query: Query) -> np.ndarray:
        order = np.argsort(-row, kind="stable")[: TOP + len(query.images)]
        return order[np.isfinite(row[order]) & ~np.isin(order, query.images)][:TOP]

    try:
        server.build(Photos(known.vectors[:count], known.places[:count]), lambda _: None)
        server.keep()
        precision = precisions(photos, asked, scores, name)
    finally:
        server.close()
    exact, fast = precision.mean(1)
    return {
        "photos": f"{count:,} {name}",
        "queries": len(asked),
        "exact": dict(zip(THRESHOLD_NAMES, exact.tolist(), strict=True)),
        "fast": dict(zip(THRESHOLD_NAMES, fast.tolist(), strict=True)),
        "kept": dict(zip(THRESHOLD_NAMES, ratio(fast, exact).tolist(), strict=True)),
        "kept_interval": dict(zip(THRESHOLD_NAMES, intervals(precision, seed), strict=True)),
        "found": float(np.mean(found)),
    }


def precisions(photos: TaggedPlaces, asked: list[Query], scores: Any, name: str) -> np.ndarray:
    """(2, Q, 6) P@10 by exact and fast, of every query, at every threshold."""
    found = []
    for start in range(0, len(asked), _SAID_EVERY):
        print(f"  {name}: query {start} of {len(asked)}", file=sys.stderr, flush=True)
        some = asked[start : start + _SAID_EVERY]
        found.append([retrieval_precision(photos, some, lambda _, y=y: y) for y in scores(some)])
    return np.concatenate(found, axis=1)


def ratio(fast: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """What fast keeps of exact; 1 where exact has nothing to keep."""
    return np.where(exact > 0, fast / np.maximum(exact, 1e-12), 1.0)


def intervals(precision: np.ndarray, seed: int, rounds: int = 1000) -> list[tuple[float, float]]:
    """95 % intervals of the ratio at every threshold: bootstrap over queries, both modes together."""
    rng, count = np.random.default_rng([seed, 10]), precision.shape[1]
    drawn = []
    for _ in range(rounds):
        exact, fast = precision[:, rng.integers(0, count, count)].mean(1)
        drawn.append(ratio(fast, exact))
    return [(float(low), float(high)) for low, high in np.quantile(drawn, [0.025, 0.975], axis=0).T]


def tagging(models: Models, known: Photos, judged: int) -> dict[str, Any]:
    """A@1 and A@10 of both modes of the tagger, on the first of the world's test photos."""
    count = min(judged, known.test)
    assert models.tagger is not None and models.image is not None and known.features is not None
    tagged = models.image.tag_features(torch.from_numpy(known.features[:count].astype(np.float32)))
    photos = known.protocol(count, len(models.tags))
    rows: dict[str, dict[str, float]] = {}
    for way in ("exact", "fast"):
        print(f"  {way}: tags of {count} photos", file=sys.stderr, flush=True)
        best = [
            models.tagger.tag(TagItem(one.vector, one.chances, place, exact=way == "exact")).tags[:TOP]
            for one, place in zip(tagged, photos.places, strict=True)
        ]
        scores = tagging_scores(photos, np.stack(best))
        rows[way] = {
            "at_1": float(scores.at_1.mean()), "at_10": float(scores.at_10.mean()),
            "predicted": scores.predicted, "rightly": scores.rightly,
        }  # fmt: skip
    kept = {key: rows["fast"][key] / max(value, 1e-12) for key, value in rows["exact"].items()}
    return {"photos": count, **rows, "kept": kept}


def tables(judged: list[dict[str, Any]], tagged: dict[str, Any]) -> None:
    """Print what was measured."""
    for one in judged:
        rows = [
            {
                "mode": mode,
                **{name: f"{value:.4f}" for name, value in one[mode].items()},
                "exact's top 10 found": 1 if mode == "exact" else f"{one['found']:.3f}",
            }
            for mode in ("exact", "fast")
        ]
        kept = {
            name: f"{value:.3f} ({low:.2f} to {high:.2f})"
            for (name, value), (low, high) in zip(
                one["kept"].items(), one["kept_interval"].values(), strict=True
            )
        }
        rows.append({"mode": "fast / exact (95 %)", **kept, "exact's top 10 found": ""})
        print_table(f"P@10 of {one['queries']} queries among {one['photos']}", rows)
    if tagged:
        rows = [
            {"mode": mode, **{name: f"{value:.4f}" for name, value in tagged[mode].items()}}
            for mode in ("exact", "fast", "kept")
        ]
        print_table(f"Tags of {tagged['photos']} test photos at their places", rows)
