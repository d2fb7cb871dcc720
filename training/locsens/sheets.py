"""Sheets for the figures of LocSens (thesis 5.4).

`draw` takes what `training.locsens.figures` writes down of a figure and shows nothing else.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

from PIL import Image as PillowImage

from interplay.types import Image
from training.locsens.page import (
    GREEN,
    GREY,
    INK,
    INNER,
    MARGIN,
    ORANGE,
    PAPER,
    PLACES,
    RULE,
    WIDTH,
    Colour,
    Map,
    Point,
    Sheet,
    text_length,
)

Record = dict[str, Any]
Reader = Callable[[str], Image]

_GAP = 16
_ELSEWHERE_KM = 150.0


def draw(figure: Record, read: Reader, *, simulated: bool) -> PillowImage.Image:
    """The sheet of a figure.

    Args:
        figure: as `training.locsens.figures.make_records` makes it.
        read: gives the pixels of a photo, (H, W, 3) uint8, for its name in the world's files.
        simulated: whether the heading says that the world is.
    """
    sheet = Sheet()
    kinds = {"spread": _draw_spread, "rows": _draw_rows, "alone": _draw_alone, "faked": _draw_faked}
    return sheet.cut(kinds[figure["kind"]](sheet, figure, read, simulated) + MARGIN / 2)


def _heading(sheet: Sheet, figure: Record, simulated: bool, *, beside: int = 0) -> float:
    """Title and caption; `beside` them so many pixels stay free on the right. Returns where they end."""
    width = INNER - beside
    top = 44.0
    sheet.text((MARGIN, top), f"Figure {figure['figure']}", 17, bold=True, fill=GREY)
    if simulated:
        words = "SIMULATED WORLD"
        left = MARGIN + text_length(f"Figure {figure['figure']}", 17, True) + 16
        length = text_length(words, 13, True)
        sheet.pen.rounded_rectangle((left, top - 12, left + length + 20, top + 12), 12, fill=ORANGE)
        sheet.text((left + 10, top), words, 13, bold=True, fill=PAPER)
        left += length + 32
        said = "real photos at made-up places with made-up tags"
        sheet.text((left, top), said, 15, fill=ORANGE, width=MARGIN + width - left)
    size = next(
        size for size in (26, 24, 22, 20) if size == 20 or text_length(figure["title"], size, True) <= width
    )
    sheet.text((MARGIN, top + 40), figure["title"], size, bold=True, width=width)
    return sheet.paragraph((MARGIN, top + 76), figure["caption"], 15, width=width)


def _draw_spread(sheet: Sheet, figure: Record, read: Reader, simulated: bool) -> float:
    """Northern places above the map, southern ones below, each from west to east: lines do not cross."""
    top = _heading(sheet, figure, simulated) + 14
    ordered = sorted(figure["queries"], key=lambda query: -query["place"]["latitude"])
    half = -(-len(ordered) // 2)
    rows = [
        sorted(row, key=lambda query: query["place"]["longitude"]) for row in (ordered[:half], ordered[half:])
    ]
    width = (INNER - (half - 1) * _GAP) / half
    height = round(min(width * 2 / 3, 260))
    words = 52
    world = Map(sheet, (MARGIN, top + words + height + 14), INNER)
    below = world.top + world.height + 14
    colours, spots = iter(PLACES * len(ordered)), []
    for row, queries in enumerate(rows):
        for column, query in enumerate(queries):
            colour, photo = next(colours), query["photos"][0]
            left = MARGIN + column * (width + _GAP) + (half - len(queries)) * (width + _GAP) / 2
            at = top if row == 0 else below + height + 8
            picture = top + words if row == 0 else below
            sheet.photo((left, picture, width, height), read(photo["file"]))
            sheet.pen.rectangle(
                (round(left), picture + (height if row == 0 else -5), round(left + width) - 1,
                 picture + (height + 5 if row == 0 else 0)), fill=colour,
            )  # fmt: skip
            _described(sheet, (left, at + 12), query, width, colour)
            spot = world.point(query["place"])
            start = (left + width / 2, picture + height + 4 if row == 0 else picture - 4)
            sheet.line([start, spot], colour, 2)
            if photo["km"] > _ELSEWHERE_KM:
                sheet.ring(world.point(photo), 11, colour)
            spots.append((spot, colour))
    for spot, colour in spots:  # above all lines and rings
        sheet.disc(spot, 7, colour)
    return below + height + 8 + words


def _described(sheet: Sheet, at: Point, query: Record, width: float, colour: Colour) -> None:
    photo = query["photos"][0]
    sheet.disc((at[0] + 7, at[1]), 6, colour)
    end = sheet.text((at[0] + 20, at[1]), query["place"]["name"], 18, bold=True, width=width - 20)
    sheet.text((end + 8, at[1] + 1), query["place"]["country"], 14, fill=GREY, width=at[0] + width - end - 8)
    left = sheet.tick((at[0] + 1, at[1] + 24)) + 2 if photo["tagged"] else at[0]
    said = f"{_away(photo)} away, {photo['town'] or photo['country']}"
    sheet.text((left, at[1] + 24), said, 14, fill=GREY, width=at[0] + width - left)


def _away(photo: Record) -> str:
    return "< 1 km" if photo["km"] < 1 else f"{photo['km']:,.0f} km"


def _draw_rows(sheet: Sheet, figure: Record, read: Reader, simulated: bool) -> float:
    top, numbers = _mapped_heading(sheet, figure, simulated, [query["place"] for query in figure["queries"]])
    for tag, group in groupby(figure["queries"], key=lambda query: query["tag"]):
        queries = list(group)
        sheet.pen.line((MARGIN, top, MARGIN + INNER, top), fill=RULE, width=1)
        sheet.text((MARGIN, top + 24), f"“{tag}”", 22, bold=True)
        width = (INNER - (len(queries) - 1) * 30) / len(queries)
        for column, query in enumerate(queries):
            left = MARGIN + column * (width + 30)
            _numbered(sheet, (left, top + 60), numbers[query["place"]["name"]], query, width)
            side = (width - 6 * (len(query["photos"]) - 1)) / len(query["photos"])
            for rank, photo in enumerate(query["photos"]):
                x = left + rank * (side + 6)
                sheet.photo((x, top + 80, side, side), read(photo["file"]))
                end = sheet.text((x, top + 80 + side + 14), _away(photo), 14, fill=GREY, width=side)
                if photo["tagged"]:
                    sheet.tick((end + 7, top + 80 + side + 14))
        top += 80 + side + 42
    return top - 14


def _mapped_heading(
    sheet: Sheet, figure: Record, simulated: bool, places: Sequence[Record]
) -> tuple[float, dict[str, int]]:
    """Title and a map; returns where they end, and the number of each place."""
    width, named = 540, {place["name"]: place for place in places}
    bottom = _heading(sheet, figure, simulated, beside=width + 36)
    world = Map(sheet, (WIDTH - MARGIN - width, MARGIN), width)
    world.numbers(list(named.values()))
    return max(bottom, world.top + world.height) + 22, {name: row for row, name in enumerate(named, 1)}


def _numbered(sheet: Sheet, at: Point, number: int, query: Record, width: float) -> None:
    sheet.disc((at[0] + 10, at[1]), 10, PLACES[0], number)
    end = sheet.text((at[0] + 28, at[1]), query["place"]["name"], 17, bold=True, width=width - 28)
    near = f"{query['known_photos_near']:,} training photos within 200 km"
    sheet.text((end + 10, at[1] + 1), near, 13, fill=GREY, width=at[0] + width - end - 10)


def _draw_alone(sheet: Sheet, figure: Record, read: Reader, simulated: bool) -> float:
    top = _heading(sheet, figure, simulated) + 10
    width, side = (INNER - 32) / 2, 200
    for index, photo in enumerate(figure["photos"]):
        row, column = divmod(index, 2)
        left, at = MARGIN + column * (width + 32), top + row * (side + 62)
        sheet.pen.line((left, at, left + width, at), fill=RULE, width=1)
        where = sheet.text((left, at + 22), photo["town"], 18, bold=True)
        sheet.text((where + 8, at + 23), photo["country"], 14, fill=GREY)
        sheet.photo((left, at + 42, side, side), read(photo["file"]))
        true = set(photo["tags"])
        found = {tag["tag"] for tag in [*photo["alone"], *photo["at_place"]]}
        lists = (
            (
                "its tags",
                sorted(photo["tags"], key=lambda tag: tag not in found),
            ),  # those that were found first
            ("without place (MCC)", [tag["tag"] for tag in photo["alone"]]),
            ("LocSens, at its place", [tag["tag"] for tag in photo["at_place"]]),
        )
        for number, (name, tags) in enumerate(lists):
            x = left + side + 18 + number * 150
            sheet.text((x, at + 52), name, 13, bold=True, fill=GREY, width=146)
            most = 7
            shown = tags if len(tags) <= most else [*tags[: most - 1], f"and {len(tags) - most + 1} more"]
            for line, tag in enumerate(shown):
                hit = number > 0 and tag in true
                word = tag if tag.startswith("and ") else f"#{tag}"
                sheet.text(
                    (x, at + 78 + line * 25), word, 16, bold=hit, fill=GREEN if hit else INK, width=146
                )
    return top + -(-len(figure["photos"]) // 2) * (side + 62) - 8


def _draw_faked(sheet: Sheet, figure: Record, read: Reader, simulated: bool) -> float:
    top, numbers = _mapped_heading(
        sheet, figure, simulated, [at["place"] for row in figure["rows"] for at in row["places"]]
    )
    wide = 372
    for row in figure["rows"]:
        photo = row["photo"]
        sheet.pen.line((MARGIN, top, MARGIN + INNER, top), fill=RULE, width=1)
        pixels = read(photo["file"])
        height = min(wide * pixels.shape[0] / pixels.shape[1], 290)
        sheet.photo((MARGIN, top + 20, height * pixels.shape[1] / pixels.shape[0], height), pixels)
        said = (
            f"Drawn among {row['drawn_from']} photos with the tag “{row['drawn_by']}”; in truth in "
            f"{photo['town'] or 'no town'}, {photo['country']}, with the tags {', '.join(photo['tags'])}."
        )
        end = sheet.paragraph((MARGIN, top + height + 38), said, 14, width=wide)
        columns = [
            ("no place (MCC)", row["alone"], None),
            *((at["place"], at["tags"], at) for at in row["places"]),
        ]
        left, width = MARGIN + wide + 32.0, (INNER - wide - 32) / len(columns)
        for column, (place, tags, at) in enumerate(columns):
            x = left + column * width
            others = {tag["tag"] for _, found, _ in columns[1:] if found is not tags for tag in found}
            if at is None:
                sheet.text((x, top + 36), "No place", 18, bold=True, fill=GREY)
                sheet.text((x, top + 60), "the image alone (MCC)", 13, fill=GREY, width=width - 12)
            else:
                sheet.disc((x + 10, top + 36), 10, PLACES[0], numbers[place["name"]])
                sheet.text((x + 28, top + 36), place["name"], 18, bold=True, width=width - 40)
                sheet.text((x, top + 60), place["country"], 13, fill=GREY, width=width - 12)
                near = f"{at['known_photos_near']:,} training photos near"
                sheet.text((x, top + 78), near, 13, fill=GREY, width=width - 12)
            for line, tag in enumerate(tags):
                own = at is not None and tag["tag"] not in others
                fill = GREY if at is None else PLACES[0] if own else INK
                sheet.text(
                    (x, top + 114 + line * 34), f"#{tag['tag']}", 19, bold=own, fill=fill, width=width - 12
                )
        top = max(end, top + 114 + 5 * 34) + 10
    return top - 10
