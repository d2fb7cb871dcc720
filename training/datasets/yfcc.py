"""YFCC100M and the splits of the thesis (5.4.1): photos with user tags and a place.

    metadata   one row a photo, tabs between 23 to 25 columns: `read_metadata`
    places     photo id, tab, `woeid:name:type` entries between commas: `read_places`
    split      `id;tag1,tag2,…;country;town;lat;lon;url`, one line a photo: `read_split`, `write_split`

All three are read from plain, gz, bz2 or xz files, local or remote (fsspec). The vocabulary's rules:
`count_tags`, `build_vocabulary`, `keep_known_tags`.

Metadata is dirty: 100 million rows should not stop at one. What cannot be used is counted by its reason and
left out. Splits are made by programs: a line that is not of the form is an error that names file and line.
"""

import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, unquote_plus

import fsspec

MOST_TAGS = 15
FORMATS = ("jpg", "jpeg", "png")

# Columns are counted from the end: some distributions lack the row number, the hash or both.
_TAGS, _LONGITUDE, _LATITUDE, _URL, _FORMAT, _IS_VIDEO = -15, -13, -12, -9, -2, -1
_ID, _HASH_OR_ID = -24, -23
_FEWEST_COLUMNS = 23
_HASH = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class GeotaggedPhoto:
    """A photo, what its user called it, and where it was taken.

    Attributes:
        id: unique within its set.
        tags: as `normalise_tag` leaves them, each once.
        country: English name, empty where unknown.
        town: name of the town, empty where unknown.
        latitude: degrees, -90 to 90.
        longitude: degrees, -180 to 180.
        url: where the photo is: a URL, or the path of a file.

    Raises:
        ValueError: the coordinates are not on Earth; the message names them.
    """

    id: str
    tags: tuple[str, ...]
    country: str
    town: str
    latitude: float
    longitude: float
    url: str

    def __post_init__(self) -> None:
        for name, value, limit in (("latitude", self.latitude, 90), ("longitude", self.longitude, 180)):
            if not -limit <= value <= limit:  # false for NaN, too
                raise ValueError(f"photo {self.id}: {name} must be from -{limit} to {limit}, not {value}")


def normalise_tag(tag: str) -> str:
    """A tag of the metadata as the vocabulary has it: decoded, lower case, without spaces ('+')."""
    return "".join(unquote(tag.replace("+", "")).lower().replace("+", "").split())


def read_places(file: str | Path) -> dict[str, tuple[str, str]]:
    """Country and town of each photo id of a places file; empty text where the file has none.

    Raises:
        ValueError: a line has no tab.
    """
    places = {}
    for number, line in _lines(file):
        identifier, tab, entries = line.partition("\t")
        if not tab:
            raise ValueError(f"{file}, line {number}: no tab after the photo's id")
        found = {"Country": "", "Town": ""}
        for entry in entries.split(","):
            parts = entry.split(":")
            if len(parts) >= 3 and parts[-1] in found and not found[parts[-1]]:
                found[parts[-1]] = unquote_plus(":".join(parts[1:-1]))
        places[identifier] = (found["Country"], found["Town"])
    return places


def read_metadata(
    file: str | Path,
    places: Mapping[str, tuple[str, str]] | None = None,
    skipped: Counter[str] | None = None,
) -> Iterator[GeotaggedPhoto]:
    """Photos (jpg, jpeg, png) of a metadata file that have tags and coordinates.

    Args:
        file: the TSV.
        places: what `read_places` gives; countries and towns are empty without it.
        skipped: rows left out are counted here by reason: "columns" (fewer than 23), "video", "format",
            "no tags", "no coordinates", "coordinates" (not numbers, or not on Earth).
    """
    skipped = Counter() if skipped is None else skipped
    for _, line in _lines(file):
        row = line.split("\t")
        if len(row) < _FEWEST_COLUMNS:
            skipped["columns"] += 1
            continue
        tags = tuple(dict.fromkeys(tag for raw in row[_TAGS].split(",") if (tag := normalise_tag(raw))))
        reason = ""
        if row[_IS_VIDEO] != "0":
            reason = "video"
        elif row[_FORMAT].lower() not in FORMATS:
            reason = "format"
        elif not tags:
            reason = "no tags"
        elif not row[_LATITUDE] or not row[_LONGITUDE]:
            reason = "no coordinates"
        if reason:
            skipped[reason] += 1
            continue
        has_hash = len(row) > _FEWEST_COLUMNS and _HASH.fullmatch(row[_HASH_OR_ID])
        identifier = row[_ID if has_hash else _HASH_OR_ID]
        country, town = (places or {}).get(identifier, ("", ""))
        try:
            yield GeotaggedPhoto(
                identifier, tags, country, town, float(row[_LATITUDE]), float(row[_LONGITUDE]), row[_URL]
            )
        except ValueError:
            skipped["coordinates"] += 1


def read_split(file: str | Path) -> Iterator[GeotaggedPhoto]:
    """Photos of a split file.

    Raises:
        ValueError: a line has not seven fields, no tag, or coordinates that are not on Earth.
    """
    for number, line in _lines(file):
        # A URL may hold semicolons: it is what is left.
        fields = line.split(";", 6)
        if len(fields) != 7:
            raise ValueError(
                f"{file}, line {number}: {len(fields)} fields, not id;tags;country;town;lat;lon;url"
            )
        identifier, tags, country, town, latitude, longitude, url = fields
        try:
            photo = GeotaggedPhoto(
                identifier, tuple(tags.split(",")), country, town, float(latitude), float(longitude), url
            )
        except ValueError as error:
            raise ValueError(f"{file}, line {number}: {error}") from error
        if not all(photo.tags):
            raise ValueError(f"{file}, line {number}: an empty tag in {tags!r}")
        yield photo


def write_split(file: Path, photos: Iterable[GeotaggedPhoto]) -> int:
    """Write a split file; coordinates with six decimals (0.1 m). Returns the number of photos.

    Raises:
        ValueError: a field holds a character that separates fields, tags or lines.
    """
    count = 0
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        for photo in photos:
            for value in (photo.id, photo.country, photo.town, *photo.tags):
                if ";" in value or "\n" in value:
                    raise ValueError(f"photo {photo.id}: {value!r} holds a semicolon or a line break")
            if "\n" in photo.url or not photo.tags or any("," in tag or not tag for tag in photo.tags):
                raise ValueError(
                    f"photo {photo.id}: cannot be written with tags {photo.tags}, url {photo.url!r}"
                )
            place = f"{photo.country};{photo.town};{photo.latitude:.6f};{photo.longitude:.6f}"
            stream.write(f"{photo.id};{','.join(photo.tags)};{place};{photo.url}\n")
            count += 1
    return count


def count_tags(photos: Iterable[GeotaggedPhoto]) -> Counter[str]:
    """On how many photos each tag is."""
    return Counter(tag for photo in photos for tag in set(photo.tags))


def build_vocabulary(
    counts: Mapping[str, int], *, size: int = 100_000, drop: int = 10, known: Collection[str] | None = None
) -> list[str]:
    """The thesis's vocabulary, most frequent first; the alphabet decides between equals.

    Args:
        counts: photos of each tag.
        size: words to keep.
        drop: so many of the most frequent are left out first: they say nothing.
        known: words outside it are not counted; the authors' code used the words of GloVe 840B.
    """
    words = [word for word in counts if not any(letter.isdigit() for letter in word)]
    if known is not None:
        words = [word for word in words if word in known]
    words.sort(key=lambda word: (-counts[word], word))
    return words[drop : drop + size]


def keep_known_tags(
    photos: Iterable[GeotaggedPhoto], vocabulary: Collection[str], *, most: int = MOST_TAGS
) -> Iterator[GeotaggedPhoto]:
    """Photos with only their tags of the vocabulary; those with none or more than `most` are left out."""
    vocabulary = frozenset(vocabulary)
    for photo in photos:
        tags = tuple(tag for tag in photo.tags if tag in vocabulary)
        if 1 <= len(tags) <= most:
            yield replace(photo, tags=tags)


def part_photos(
    photos: Sequence[GeotaggedPhoto], *, test: int = 500_000, val: int = 250_000, seed: int = 0
) -> tuple[list[GeotaggedPhoto], list[GeotaggedPhoto], list[GeotaggedPhoto]]:
    """Shuffle, and part into train, val and test.

    Raises:
        ValueError: nothing would be left to train on.
    """
    if test + val >= len(photos):
        raise ValueError(f"{len(photos)} photos cannot give {test} for test, {val} for val and any for train")
    shuffled = list(photos)
    random.Random(seed).shuffle(shuffled)
    return shuffled[test + val :], shuffled[test : test + val], shuffled[:test]


def _lines(file: str | Path) -> Iterator[tuple[int, str]]:
    """Lines with their numbers, from 1; only line feeds end a line, empty ones are left out."""
    with fsspec.open(str(file), "rt", encoding="utf-8", newline="\n", compression="infer") as stream:
        for number, line in enumerate(stream, 1):
            if line := line.rstrip("\r\n"):
                yield number, line
