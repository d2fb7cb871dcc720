"""Words that depend on the place: what water is called there, the local word for a tram, the mountains' name.

All words are used only if they are in the real vocabulary.
"""

import re
from collections.abc import Iterator, Mapping

from training.locsens.places import Surroundings
from training.locsens.rules import read_toml

# What a kind of spot adds to the words of the caption, most usual first.
OF_KIND: Mapping[str, str] = {
    "home": "home house interior apartment",
    "eatery": "food restaurant dinner lunch yummy delicious foodporn cafe eat",
    "street": "street city urban downtown traffic town",
    "oldtown": "architecture history historic oldtown tourism sightseeing monument building city",
    "park": "park nature garden outdoors",
    "zoo": "zoo animals animal wildlife zoological",
    "ballpark": "baseball sports sport game stadium league field",
    "pitch": "sport sports match league field",
    "tennis": "tennis sport sports match court tournament",
    "skatepark": "skate skateboard skating skatepark sport urban",
    "station": "railway railroad transport station train trains rail",
    "airport": "airport aviation aircraft flight airline plane spotting",
    "harbour": "boat boats harbor port ship water",
    "beach": "beach sand summer holiday coast vacation sun waves",
    "lake": "lake water nature reflection",
    "snow": "snow winter mountain mountains cold alpine sport",
    "wild": "nature landscape hiking wilderness mountains nationalpark wildlife",
    "farm": "farm rural country countryside animals field agriculture",
    "savanna": "safari wildlife animals nature nationalpark savannah animal",
    "elephant": "elephant elephants animals jungle wildlife animal",
}

SEA_KM = 25.0  # nearer than this, water is the sea

_LOCAL = tuple(
    (re.compile(rf"\b(?:{row.pop('words')})\b"), {country: tags.split() for country, tags in row.items()})
    for row in read_toml("local_words.toml")["word"]
)
_WATER = re.compile(
    r"\b(?:water|ocean|sea|waves?|beach\w*|boats?|ships?|shore\w*|surf\w*|lakes?|rivers?|dock\w*|pier)\b"
)

# Name, south, north, west, east: the first box that holds the point.
SEAS: tuple[tuple[str, float, float, float, float], ...] = (
    ("mediterranean", 30, 46, -5, 36),
    ("baltic", 53.5, 66, 10, 30),
    ("northsea", 50.9, 61, -3, 9),
    ("caribbean", 9, 23, -88, -60),
    ("gulfofmexico", 18, 31, -98, -81),
    ("indianocean", -45, 25, 20, 100),
    ("atlantic", -60, 65, -82, 20),
    ("pacific", -60, 65, -180, -82),
    ("pacific", -60, 65, 100, 180),
)
MOUNTAINS: tuple[tuple[str, float, float, float, float], ...] = (
    ("alps alpen alpes", 43.8, 48.2, 5, 16.5),
    ("pyrenees pirineos", 42, 43.4, -2, 3),
    ("rockies rockymountains", 35, 60, -125, -103.5),
    ("sierra sierranevada", 35, 40.5, -121, -117),
    ("andes", -55, 11, -78, -64),
    ("himalaya himalayas", 26, 36, 72, 97),
    ("appalachian", 34, 46, -85, -69),
    ("southernalps", -46, -41, 167, 173),
    ("highlands", 55.8, 59, -7, -2),
)
# Every word of this module: none of them is noise anywhere.
ALL_WORDS = frozenset(
    [word for _, names in _LOCAL for tags in names.values() for word in tags]
    + [word for words in OF_KIND.values() for word in words.split()]
    + [word for name, *_ in (*SEAS, *MOUNTAINS) for word in name.split()]
)


def local_words(caption: str, kind: str, at: Surroundings, row: int) -> Iterator[tuple[str, float]]:
    """Words for a caption (lower case) at a spot, with weights.

    Args:
        caption: what is in the photo.
        kind: kind of the spot.
        at: facts of the spots.
        row: the spot.
    """
    country, lat, lon = str(at.country[row]), float(at.latitude[row]), float(at.longitude[row])
    usual = 0.4 if kind in ("home", "eatery", "street") else 0.9
    for rank, word in enumerate(OF_KIND[kind].split()):
        yield word, usual / (1 + 0.4 * rank)
    for pattern, names in _LOCAL:
        if pattern.search(caption) and (tags := names.get(country, names.get("*"))):
            for rank, word in enumerate(tags):
                yield word, 1.4 / (1 + rank)
    if kind in ("harbour", "beach", "lake") or _WATER.search(caption):
        if kind in ("harbour", "beach") or at.sea_km[row] < SEA_KM and kind != "lake":
            yield from (("sea", 1.2), ("ocean", 0.9), ("coast", 0.4))
            if (name := _inside(SEAS, lat, lon)) is not None:
                yield name, 0.7
        elif kind not in ("home", "eatery", "zoo"):
            yield from (("lake", 1.2), ("river", 0.6))
    if kind in ("snow", "wild", "farm") and (names_ := _inside(MOUNTAINS, lat, lon)) is not None:
        for word in names_.split():
            yield word, 1.0 if kind == "snow" else 0.5


def _inside(boxes: tuple[tuple[str, float, float, float, float], ...], lat: float, lon: float) -> str | None:
    for name, south, north, west, east in boxes:
        if south <= lat <= north and west <= lon <= east:
            return name
    return None
