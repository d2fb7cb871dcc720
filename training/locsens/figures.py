"""The pictures of thesis Figures 5.2, 5.3 and 5.5 to 5.9 for a world with the published models.

    python -m training.locsens.figures --world WORLD --store model_store --out FOLDER [--features FEATURES]

    figure-5.2.png …   sheets to look at
    figures.json       what they show: queries, photos, scores
    figures.md         the same as tables

Retrieval ranks all test photos of the world, tagging scores all tags of the vocabulary, both through the
predictors that serve. What is asked is a fixed list, `figures.toml` (or --plan FILE of that form); photos
to be tagged are drawn by --seed. No answer decides what is shown. Figure 5.4 is made by
`training.locsens.tables`.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from interplay.errors import InterplayError
from training.locsens.figures_plan import Alone, Faked, Plan, Rows, read_plan
from training.locsens.gallery import NEAR_KM, Gallery, Record, read_photo
from training.locsens.page import save
from training.locsens.sheets import draw

SHOWN_TAGS = 5
SHOWN_PHOTOS = 3  # of a query, in the rows of 5.5 and 5.6


def make_records(gallery: Gallery, plan: Plan, *, seed: int = 0) -> list[Record]:
    """What each figure shows.

    Args:
        gallery: photos and models.
        plan: what is asked.
        seed: of the draws of photos.

    Raises:
        ValueError: the vocabulary lacks a tag of the plan, or too few photos can be drawn.
    """
    figures = [_spread(gallery, plan, tag, f"5.{2 + row}") for row, tag in enumerate(plan.spread.tags)]
    figures += [_rows(gallery, plan, figure) for figure in plan.rows]
    figures.append(_alone(gallery, plan.alone, seed))
    figures += [_faked(gallery, plan, figure, seed) for figure in plan.faked]
    for figure in figures:
        figure["file"] = f"figure-{figure['figure']}.png"
    return figures


def _spread(gallery: Gallery, plan: Plan, tag: str, number: str) -> Record:
    places = [_place(plan, name) for name in plan.spread.places]
    return {
        "figure": number,
        "kind": "spread",
        "title": f"“{tag}” at {len(places)} places: the photo that ranks first",
        "caption": f"{len(gallery.photos.photos):,} test photos were ranked for the tag at each place. Dots: "
        "the place asked for; rings: where the photo is, if elsewhere; ticks: the photo has the tag.",
        "queries": [
            {"tag": tag, "place": place, "photos": gallery.best_photos(tag, place, 1)} for place in places
        ],
    }


def _rows(gallery: Gallery, plan: Plan, figure: Rows) -> Record:
    queries = []
    for asked in figure.queries:
        for place in (_place(plan, name) for name in asked.places):
            found = gallery.best_photos(asked.tag, place, SHOWN_PHOTOS)
            near = gallery.known_near(place)
            queries.append({"tag": asked.tag, "place": place, "known_photos_near": near, "photos": found})
    return {
        "figure": figure.figure,
        "kind": "rows",
        "title": figure.title,
        "caption": f"{len(gallery.photos.photos):,} test photos were ranked for each tag at each place. "
        "Below a photo: how far it is from the place asked for; a tick if it has the tag. "
        f"Beside a place: how many training photos lie within {NEAR_KM:.0f} km.",
        "queries": queries,
    }


def _alone(gallery: Gallery, rule: Alone, seed: int) -> Record:
    words, rng = set(rule.words), np.random.default_rng([seed, 57])
    fitting = [
        row
        for row, photo in enumerate(gallery.photos.photos)
        if len(photo.tags) >= rule.least_tags and not words.isdisjoint(photo.tags)
    ]
    drawn = _draw(fitting, rule.photos, rng, f"{rule.least_tags} tags and a word that depends on place")
    photos = []
    for row in drawn:
        photo = gallery.photo(row)
        photos.append(
            photo
            | {
                "alone": gallery.tags_alone(row, SHOWN_TAGS),
                "at_place": gallery.tags_at(row, photo, SHOWN_TAGS),
            }
        )
    return {
        "figure": "5.7",
        "kind": "alone",
        "title": "Tags without and with the place of the photo",
        "caption": f"Drawn at random (seed {seed}) among the {len(fitting)} test photos with at least "
        f"{rule.least_tags} tags, one of which says what is seen and depends on the place: "
        f"{', '.join(sorted(words))}. Green: the photo has this tag.",
        "drawn_from": len(fitting),
        "photos": photos,
    }


def _faked(gallery: Gallery, plan: Plan, figure: Faked, seed: int) -> Record:
    rows, rng = [], np.random.default_rng([seed, int(figure.figure.replace(".", ""))])
    for asked in figure.queries:
        tag = gallery.number(asked.tag)
        fitting = [row for row, tags in enumerate(gallery.photos.tags) if tag in tags]
        (row,) = _draw(fitting, 1, rng, f"the tag {asked.tag!r}")
        places = [
            {
                "place": place,
                "known_photos_near": gallery.known_near(place),
                "tags": gallery.tags_at(row, place, SHOWN_TAGS),
            }
            for place in (_place(plan, name) for name in asked.places)
        ]
        rows.append(
            {
                "drawn_by": asked.tag,
                "drawn_from": len(fitting),
                "photo": gallery.photo(row),
                "alone": gallery.tags_alone(row, SHOWN_TAGS),
                "places": places,
            }
        )
    return {
        "figure": figure.figure,
        "kind": "faked",
        "title": "One photo at several faked places: the best tags",
        "caption": f"Photos were drawn at random (seed {seed}) among the test photos with a tag. LocSens "
        f"scored all {len(gallery.photos.vocabulary):,} tags for each as if it had been taken there. Blue: "
        f"among the {SHOWN_TAGS} best at this place only. Near: within {NEAR_KM:.0f} km.",
        "rows": rows,
    }


def _draw(rows: Sequence[int], count: int, rng: np.random.Generator, what: str) -> list[int]:
    if len(rows) < count:
        raise ValueError(f"{len(rows)} test photos have {what}; {count} are to be drawn")
    return sorted(int(row) for row in rng.choice(rows, count, replace=False))


def _place(plan: Plan, name: str) -> Record:
    country, latitude, longitude = plan.places[name]
    return {"name": name, "country": country, "latitude": latitude, "longitude": longitude}


def write_figures(world: Path, gallery: Gallery, plan: Plan, out: Path, *, seed: int) -> Record:
    """Makes the sheets, `figures.json` and `figures.md`.

    Returns:
        What `figures.json` holds.

    Raises:
        ValueError: see `make_records`.
        FileNotFoundError: a photo is missing.
    """
    report = world / "world.json"
    simulated = report.is_file() and bool(json.loads(report.read_text(encoding="utf-8")).get("simulated"))
    models = [predictor.manifest for predictor in (gallery.image, gallery.ranker, gallery.tagger)]
    record: Record = {
        "simulated": simulated,
        "world": {"test_photos": len(gallery.photos.photos), "digest": gallery.photos.digest()},
        "models": {model.name: {"version": model.version, "digest": model.digest} for model in models},
        "seed": seed,
        "figures": make_records(gallery, plan, seed=seed),
    }
    out.mkdir(parents=True, exist_ok=True)
    for figure in record["figures"]:
        save(draw(figure, read_photo, simulated=simulated), out / figure["file"])
    text = json.dumps(record, indent=1, ensure_ascii=False)
    (out / "figures.json").write_text(text + "\n", encoding="utf-8")
    (out / "figures.md").write_text(markdown(record), encoding="utf-8")
    return record


def markdown(record: Record) -> str:
    """The record as tables."""
    lines = ["# Figures of LocSens" + (" in a simulated world" if record["simulated"] else ""), ""]
    named = (
        f"{name} {model['version']} (`{model['digest'][:19]}…`)" for name, model in record["models"].items()
    )
    lines += [f"Models: {', '.join(named)}.", ""]
    for figure in record["figures"]:
        lines += [f"## Figure {figure['figure']}: {figure['title']}", ""]
        lines += [f"![{figure['title']}]({figure['file']})", "", figure["caption"], ""]
        lines += {"alone": _alone_table, "faked": _faked_table}.get(figure["kind"], _ranked_table)(figure)
        lines.append("")
    return "\n".join(lines[:-1]) + "\n"


def _ranked_table(figure: Record) -> list[str]:
    lines = ["| tag | asked for at | rank | photo | from | km | has the tag | score |", "|---" * 8 + "|"]
    for query in figure["queries"]:
        for rank, photo in enumerate(query["photos"], 1):
            lines.append(
                f"| {query['tag']} | {query['place']['name']} | {rank} | {photo['id']} "
                f"| {photo['town']}, {photo['country']} | {photo['km']:,.0f} "
                f"| {'yes' if photo['tagged'] else 'no'} | {photo['score']:.2f} |"
            )
    return lines


def _alone_table(figure: Record) -> list[str]:
    lines = ["| photo | place | its tags | without the place | with it |", "|---" * 5 + "|"]
    for photo in figure["photos"]:
        lines.append(
            f"| {photo['id']} | {photo['town']}, {photo['country']} | {' '.join(photo['tags'])} "
            f"| {_words(photo['alone'])} | {_words(photo['at_place'])} |"
        )
    return lines


def _faked_table(figure: Record) -> list[str]:
    lines = ["| photo | taken in | its tags | said to be in | best tags |", "|---" * 5 + "|"]
    for row in figure["rows"]:
        photo = row["photo"]
        start = f"| {photo['id']} | {photo['town']}, {photo['country']} | {' '.join(photo['tags'])} |"
        lines.append(f"{start} (no place) | {_words(row['alone'])} |")
        lines += [f"{start} {at['place']['name']} | {_words(at['tags'])} |" for at in row["places"]]
    return lines


def _words(tags: Sequence[Record]) -> str:
    return " ".join(f"{tag['tag']} ({tag.get('score', tag.get('chance')):.2f})" for tag in tags)


def main() -> None:
    """Command line; see the module docstring."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--world", type=Path, required=True)
    parser.add_argument("--store", type=Path, default=Path("model_store"), help="default: model_store")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--features", type=Path, help="of training.locsens.features; photos are read if not given"
    )
    parser.add_argument("--tags", nargs=2, metavar="TAG", help="of figures 5.2 and 5.3; default: bus bridge")
    parser.add_argument("--plan", type=Path, help="what to ask; default: figures.toml of this package")
    parser.add_argument("--seed", type=int, default=0, help="of the draws of photos; default: 0")
    args = parser.parse_args()
    try:
        plan = read_plan(args.plan, args.tags)
        gallery = Gallery.open(args.world, args.store, args.features)
        record = write_figures(args.world, gallery, plan, args.out, seed=args.seed)
    except (FileNotFoundError, ValueError, InterplayError) as error:
        raise SystemExit(f"error: {error}") from error
    for figure in record["figures"]:
        file = args.out / figure["file"]
        print(f"{file}: {figure['title']} ({file.stat().st_size / 1000:.0f} kB)")


if __name__ == "__main__":
    main()
