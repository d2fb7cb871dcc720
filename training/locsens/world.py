"""Make a world to train LocSens on: real photos at simulated places with simulated tags.

    python -m training.locsens.world --features FEATURES --out WORLD [--seed 0] [--photos N]

No photos with both user tags and coordinates can be had freely, so places and tags are made up for COCO's
photos from their captions (docs/locsens-world.md). The files have the form of the thesis's own: what is
trained on them can be trained on splits of YFCC100M unchanged (`training.datasets.yfcc`).

    train.txt val.txt test.txt   split format; the url is the photo's path within INTERPLAY_DATA_DIR or
                                 INTERPLAY_EXTRA_PHOTOS, see `photo_file`
    vocabulary.txt               tags of train, most frequent first
    world.json                   seed, counts, rules, profile beside the real one, upper bounds
    world.png                    where some tags are; frequencies by rank
"""

import argparse
import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.datasets.captions import CaptionedImage
from training.datasets.yfcc import (
    GeotaggedPhoto,
    build_vocabulary,
    count_tags,
    keep_known_tags,
    write_split,
)
from training.embedding.data import load_part
from training.locsens.looks import draw_spots, place_accuracy, read_looks
from training.locsens.picture import descending, draw_world
from training.locsens.places import Gazetteer
from training.locsens.profile import length_shares, place_names, read_posts, tag_profile
from training.locsens.protocol import THRESHOLDS_KM, TaggedPlaces, make_queries, upper_bound
from training.locsens.rules import RULES, spot_weights
from training.locsens.spots import Spots, choose_spots, read_coordinates, scatter
from training.locsens.tags import PHOTOS_A_VISIT, Tagger
from training.text_detection.paths import data_dir

SPLITS = ("train", "val", "test")
# Parts of training.embedding.data: nothing is ever trained on the last two.
PARTS = {"train": ("train",), "val": ("dev",), "test": ("held_out", "reserve")}
FEWEST_TRAIN_PHOTOS = 5  # a tag of fewer says nothing to a model
DRESDEN = (51.0504, 13.7373)
HELD_OUT, EXTRA = "coco_captions/images", "extra"


@dataclass(frozen=True)
class World:
    """A world in memory: photos of each split, the vocabulary and what `world.json` says."""

    splits: Mapping[str, Sequence[GeotaggedPhoto]]
    captions: Mapping[str, str]
    vocabulary: Sequence[str]
    report: Mapping[str, Any]


def photo_file(url: str) -> Path:
    """The file of a photo of a world.

    Args:
        url: as in the split: `coco_captions/images/1.jpg` is in the data folder, `extra/1.jpg` one of the
            40,000 photos.

    Raises:
        FileNotFoundError: INTERPLAY_EXTRA_PHOTOS is not set, for a photo that needs it.
    """
    if not url.startswith(f"{EXTRA}/"):
        return data_dir() / url
    if not (folder := os.environ.get("INTERPLAY_EXTRA_PHOTOS")):
        raise FileNotFoundError(f"set INTERPLAY_EXTRA_PHOTOS to the folder of the COCO photos to read {url}")
    return Path(folder) / url.removeprefix(f"{EXTRA}/")


def load_photos(data: Path, seed: int, photos: int | None) -> tuple[dict[str, list[CaptionedImage]], str]:
    """Captioned photos of each split, and where they are from.

    Without the 40,000 photos the 2,600 of the data folder are shuffled and parted 1,600, 200 and 800.

    Args:
        data: data folder.
        seed: decides which are taken.
        photos: so many in all, each split by its share; all by default.

    Raises:
        ValueError: fewer than 100 photos are asked for.
        FileNotFoundError: a folder is not what it should be.
    """
    rng = np.random.default_rng([seed, 1])
    if os.environ.get("INTERPLAY_EXTRA_PHOTOS"):
        found = {split: [item for part in PARTS[split] for item in load_part(part, data)] for split in SPLITS}
        source = "COCO: the 40,000-photo set and coco_captions"
    else:
        held = load_part("held_out", data)
        held = [held[row] for row in rng.permutation(len(held))]
        found = {"train": held[:1600], "val": held[1600:1800], "test": held[1800:]}
        source = "COCO: the 2,600 photos of coco_captions only; INTERPLAY_EXTRA_PHOTOS is not set"
    total = sum(len(items) for items in found.values())
    if photos is not None and photos < total:
        if photos < 100:
            raise ValueError(f"--photos must be at least 100, not {photos}")
        for split, items in found.items():
            rows = np.sort(rng.permutation(len(items))[: max(1, round(photos * len(items) / total))])
            found[split] = [items[row] for row in rows]
    return found, source


def make_world(
    data: Path, *, features: Path | None = None, seed: int = 0, photos: int | None = None
) -> World:
    """Place and tag the photos.

    Args:
        data: data folder.
        features: folder of `training.embedding.features`, for the looks of places; without it photos of a
            place resemble each other no more than their captions make them.
        seed: the same seed and photos give the same world.
        photos: how many of them; all by default.
    """
    by_split, source = load_photos(data, seed, photos)
    items = [item for split in SPLITS for item in by_split[split]]
    captions = [item.captions[0].lower() for item in items]
    words = (data / "geo" / "vocab_words_100k.txt").read_text(encoding="utf-8").split()
    posts = read_posts(data / "geo" / "flickr_dresden_posts.csv")
    gazetteer = Gazetteer(words)
    coordinates = read_coordinates(data / "geo" / "coordinates_100K.csv")
    spots = choose_spots(gazetteer, coordinates, np.random.default_rng([seed, 2]))

    rules = [tuple(row for row, rule in enumerate(RULES) if rule.matches(caption)) for caption in captions]
    rng = np.random.default_rng([seed, 3])
    looks = None
    if features is not None:
        parts = [part for split in SPLITS for part in PARTS[split]]
        if not os.environ.get("INTERPLAY_EXTRA_PHOTOS"):
            parts = ["held_out"]
        looks = read_looks(features, parts, [item.id for item in items])
    where = assign(rules, spots, rng, looks)
    latitude, longitude = scatter(spots, where, rng)
    tags = write_tags(
        Tagger(gazetteer, words, length_shares(posts), captions, spots),
        captions,
        where,
        np.random.default_rng([seed, 4]),
    )

    made: dict[str, list[GeotaggedPhoto]] = {}
    row = 0
    for split in SPLITS:
        made[split] = []
        for item in by_split[split]:
            spot = where[row]
            country = gazetteer.country(str(spots.at.country[spot]))
            url = f"{HELD_OUT if HELD_OUT in str(item.image) else EXTRA}/{item.id}"
            town = str(spots.at.town[spot])
            made[split].append(
                GeotaggedPhoto(
                    item.id, tags[row], country, town, float(latitude[row]), float(longitude[row]), url
                )
            )
            row += 1
    fewest = FEWEST_TRAIN_PHOTOS if len(made["train"]) >= 20_000 else 3
    counts = {tag: count for tag, count in count_tags(made["train"]).items() if count >= fewest}
    # The ten most frequent real tags are not among `words`: they were dropped there.
    vocabulary = build_vocabulary(counts, drop=0)
    kept = {split: list(keep_known_tags(made[split], vocabulary)) for split in SPLITS}

    spot_of = {item.id: int(spot) for item, spot in zip(items, where, strict=True)}
    names_of = place_names(gazetteer, spots.at)
    dresden = place_names(gazetteer, gazetteer.describe(*np.array(DRESDEN)[:, None]))
    everything = [photo for split in SPLITS for photo in kept[split]]
    report = {
        "simulated": True,
        "what": "real COCO photos and captions; places and tags are made up by training/locsens/world.py",
        "photos_from": source,
        "seed": seed,
        "photos": {split: len(kept[split]) for split in SPLITS},
        "left_out_without_known_tags": len(items) - len(everything),
        "vocabulary": {"tags": len(vocabulary), "fewest_train_photos": fewest},
        "spots": {
            "all": len(spots),
            "used": len(set(where.tolist())),
            "by_kind": dict(Counter(spots.kind.tolist())),
        },
        "cities": len(set(spots.city.tolist()) - {""}),
        "countries": len({photo.country for photo in everything}),
        "photos_by_country": dict(Counter(photo.country for photo in everything).most_common(10)),
        "rule_hits": _rule_hits(rules),
        "places_from_looks": None
        if looks is None
        else place_accuracy(looks, where, np.stack([latitude, longitude], 1), len(by_split["train"])),
        "profile": {
            "world": tag_profile(
                [photo.tags for photo in everything], [names_of[spot_of[photo.id]] for photo in everything]
            ),
            "dresden_posts": tag_profile(posts, dresden * len(posts)),
        },
        "upper_bounds_test": bounds(kept["test"], vocabulary, seed),
    }
    texts = {item.id: item.captions[0] for item in items}
    return World(kept, texts, vocabulary, report)


def bounds(photos: Sequence[GeotaggedPhoto], vocabulary: Sequence[str], seed: int) -> dict[str, Any]:
    """The best P@10 that any ranking of these photos can have (thesis Table 5.1, first row).

    Returns:
        queries; without_own and with_own (the query's own photo): distance in km ("inf", "2500" …) to P@10.
    """
    number = {tag: row for row, tag in enumerate(vocabulary)}
    places = TaggedPlaces(
        [np.array([number[tag] for tag in photo.tags]) for photo in photos],
        np.array([(photo.latitude, photo.longitude) for photo in photos]),
        len(vocabulary),
    )
    queries = make_queries(places, seed)
    found: dict[str, Any] = {"queries": len(queries)}
    for name, own in (("without_own", False), ("with_own", True)):
        means = upper_bound(places, queries, own=own).mean(0)
        found[name] = {
            f"{km:g}": round(float(mean), 4) for km, mean in zip(THRESHOLDS_KM, means, strict=True)
        }
    return found


def assign(
    rules: Sequence[tuple[int, ...]],
    spots: Spots,
    rng: np.random.Generator,
    looks: NDArray[np.float32] | None = None,
) -> NDArray[np.int64]:
    """The spot of each photo, by the rules that match it and by its look; see `looks.draw_spots`."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for row, matched in enumerate(rules):
        groups.setdefault(matched, []).append(row)
    # Within a kind spots share by popularity; how many spots a kind has must not favour it.
    popularity = spots.popularity.copy()
    for kind in set(spots.kind.tolist()):
        popularity[spots.kind == kind] /= popularity[spots.kind == kind].sum()
    weights = {
        matched: spot_weights(matched, spots.kind, spots.at, spots.city) * popularity for matched in groups
    }
    if looks is None:
        looks = np.zeros((len(rules), 1), np.float32)
    places = np.stack([spots.at.latitude, spots.at.longitude], 1)
    return draw_spots(looks, groups, weights, places, rng)


def write_tags(
    tagger: Tagger, captions: Sequence[str], where: NDArray, rng: np.random.Generator
) -> list[tuple[str, ...]]:
    """Tags of each photo: the photos of a spot are shared among visits, some of which take many."""
    tags: list[tuple[str, ...]] = [()] * len(captions)
    for spot in np.unique(where):
        rows = np.flatnonzero(where == spot)
        users = [tagger.user(int(spot), rng) for _ in range(1 + len(rows) // PHOTOS_A_VISIT)]
        share = (1.0 + np.arange(len(users))) ** -0.5
        for row, user in zip(rows, rng.choice(len(users), len(rows), p=share / share.sum()), strict=True):
            tags[row] = tagger.tags(captions[row], int(spot), users[user], rng)
    return tags


def save_world(world: World, out: Path) -> None:
    """Write the files of a world, except the picture."""
    out.mkdir(parents=True, exist_ok=True)
    for split, photos in world.splits.items():
        write_split(out / f"{split}.txt", photos)
    (out / "vocabulary.txt").write_text("".join(f"{tag}\n" for tag in world.vocabulary), encoding="utf-8")
    (out / "world.json").write_text(
        json.dumps(world.report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )


def _rule_hits(rules: Sequence[tuple[int, ...]]) -> dict[str, int]:
    counts = Counter(rule for matched in rules for rule in matched)
    hits = {rule.name: counts[row] for row, rule in enumerate(RULES)}
    return hits | {"none": sum(not matched for matched in rules)}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--features", type=Path, help="folder of training.embedding.features: photos of a place look alike"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--photos", type=int, help="so many photos instead of all")
    parser.add_argument("--data", type=Path, default=data_dir(), help="data folder (INTERPLAY_DATA_DIR)")
    arguments = parser.parse_args()
    began = time.monotonic()
    try:
        world = make_world(
            arguments.data, features=arguments.features, seed=arguments.seed, photos=arguments.photos
        )
    except (FileNotFoundError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error
    save_world(world, arguments.out)
    photos = [photo for split in SPLITS for photo in world.splits[split]]
    posts = read_posts(arguments.data / "geo" / "flickr_dresden_posts.csv")
    real = descending(Counter(tag for tags in posts for tag in tags).values())
    frequencies = {
        "world (simulated)": descending(count_tags(photos).values()),
        "real posts of Dresden": real,
    }
    draw_world(photos, frequencies, arguments.out / "world.png", seed=arguments.seed)
    bounds = world.report["upper_bounds_test"]
    print(f"{world.report['photos']}, {len(world.vocabulary)} tags; places and tags are simulated")
    print(f"best P@10 that can be reached, by km ({bounds['queries']} queries): {bounds['with_own']}")
    print(f"{time.monotonic() - began:.0f} s")
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
