"""Figures of tags: how many a photo has, how many are place names, how fast frequencies fall.

The same functions measure real posts (`flickr_dresden_posts.csv`) and simulated ones.
"""

import csv
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.yfcc import MOST_TAGS
from training.locsens.places import Gazetteer, Surroundings

SLOPE_RANKS = (10, 300)


def read_posts(file: Path) -> list[tuple[str, ...]]:
    """Tags of real posts as the vocabulary's rules leave them: lower case, without digits, 1 to 15 a post."""
    posts = []
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            tags = dict.fromkeys("".join(tag.lower().split()) for tag in row["hashtags"].split(";"))
            kept = tuple(tag for tag in tags if tag and not any(letter.isdigit() for letter in tag))
            if 1 <= len(kept) <= MOST_TAGS:
                posts.append(kept)
    return posts


def length_shares(posts: Sequence[Collection[str]]) -> NDArray[np.float64]:
    """Shares of posts with 1, 2, … 15 tags."""
    lengths = np.bincount([len(tags) for tags in posts], minlength=MOST_TAGS + 1)[1 : MOST_TAGS + 1]
    return lengths / max(lengths.sum(), 1)


def tag_profile(posts: Sequence[Collection[str]], place_names: Sequence[Collection[str]]) -> dict[str, Any]:
    """Figures of the tags of posts.

    Args:
        posts: tags of each post.
        place_names: of each post, the tags that name its place, its city, its country …

    Returns:
        mean_tags; length_shares; place_share: part of all tags; posts_with_place: part of posts;
        distinct_tags; once_share: part of the distinct tags that are on one post only; slope: of log
        frequency over log rank between `SLOPE_RANKS`, least squares.
    """
    named = [sum(tag in names for tag in tags) for tags, names in zip(posts, place_names, strict=True)]
    counts = Counter(tag for tags in posts for tag in set(tags))
    total = sum(counts.values())
    frequencies = np.array(sorted(counts.values(), reverse=True), float)
    first, last = SLOPE_RANKS
    ranks = np.arange(first, min(last, len(frequencies)) + 1)
    slope = np.polyfit(np.log(ranks), np.log(frequencies[ranks - 1]), 1)[0] if len(ranks) > 1 else np.nan
    return {
        "posts": len(posts),
        "mean_tags": round(total / max(len(posts), 1), 3),
        "length_shares": [round(float(share), 4) for share in length_shares(posts)],
        "place_share": round(sum(named) / max(total, 1), 4),
        "posts_with_place": round(sum(count > 0 for count in named) / max(len(posts), 1), 4),
        "distinct_tags": len(counts),
        "once_share": round(float((frequencies == 1).mean()), 4) if len(frequencies) else 0.0,
        "slope": round(float(slope), 3),
    }


def place_names(gazetteer: Gazetteer, at: Surroundings) -> list[frozenset[str]]:
    """Every tag that names each place: city, quarter, region, country and continent in all languages."""
    found = []
    for row in range(len(at.latitude)):
        names = {*gazetteer.region_names(str(at.region[row])), *gazetteer.town_names(str(at.town[row]))}
        if at.city[row] >= 0:
            names.update(gazetteer.city_names(int(at.city[row])))
        country, continent = str(at.country[row]), str(at.continent[row])
        for by_language in (gazetteer.country_names(country), gazetteer.continent_names(continent)):
            names.update(tag for tags in by_language.values() for tag in tags)
        found.append(frozenset(names))
    return found
