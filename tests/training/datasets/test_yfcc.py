"""YFCC100M and the thesis's splits: every column layout gives the same photo; what is broken is named."""

import bz2
import gzip
import math
from collections import Counter
from pathlib import Path

import pytest

from training.datasets.yfcc import (
    GeotaggedPhoto,
    build_vocabulary,
    count_tags,
    keep_known_tags,
    normalise_tag,
    part_photos,
    read_metadata,
    read_places,
    read_split,
    write_split,
)

HASH = "0123456789abcdef0123456789abcdef"


def row(identifier: str = "5133463568", *, number: bool = True, digest: bool = True, **changes: str) -> str:
    """A row of 25 columns in YFCC100M's order, or fewer: without row number, without hash."""
    values = {
        "number": "7",
        "id": identifier,
        "hash": HASH,
        "user": "97586261@N00",
        "nickname": "a+user",
        "taken": "2010-06-10+12:00:00.0",
        "uploaded": "1288732413",
        "device": "Canon+EOS",
        "title": "A+title,+with+commas",
        "description": "",
        "tags": "New+York,caf%C3%A9,Snow,snow,2010",
        "machine_tags": "",
        "longitude": "-73.98",
        "latitude": "40.75",
        "accuracy": "16",
        "page": "http://photos.example/5133463568/",
        "url": "http://photos.example/5133463568.jpg",
        "licence": "Attribution",
        "licence_url": "http://licence.example/",
        "server": "1",
        "farm": "2",
        "secret": "3",
        "original_secret": "4",
        "extension": "jpg",
        "marker": "0",
    } | changes
    left_out = ({"number"} if not number else set()) | ({"hash"} if not digest else set())
    return "\t".join(value for name, value in values.items() if name not in left_out) + "\n"


def photo(
    identifier: str = "1", tags: tuple[str, ...] = ("snow",), lat: float = 0, lon: float = 0
) -> GeotaggedPhoto:
    return GeotaggedPhoto(identifier, tags, "", "", lat, lon, "u")


@pytest.mark.parametrize("number", [True, False])
@pytest.mark.parametrize("digest", [True, False])
def test_a_row_in_every_layout(tmp_path: Path, number: bool, digest: bool) -> None:
    (tmp_path / "yfcc.tsv").write_text(row(number=number, digest=digest), encoding="utf-8")
    places = {"5133463568": ("United States", "New York")}
    assert list(read_metadata(tmp_path / "yfcc.tsv", places)) == [
        GeotaggedPhoto(
            "5133463568",
            ("newyork", "café", "snow", "2010"),
            "United States",
            "New York",
            40.75,
            -73.98,
            "http://photos.example/5133463568.jpg",
        )
    ]


def test_what_cannot_be_used_is_counted(tmp_path: Path) -> None:
    rows = [
        row("1"),
        row("2", marker="1"),
        row("3", extension="gif"),
        row("4", tags=""),
        row("5", longitude="", latitude=""),
        row("6", latitude="nan"),
        row("7", latitude="90.5"),
        row("8", longitude="-180.01"),
        row("9", longitude="east"),
        "too\tshort\n",
        row("10", extension="JPEG"),
        row("11", extension="png", latitude="-90", longitude="180"),
    ]
    (tmp_path / "yfcc.tsv").write_text("".join(rows), encoding="utf-8")
    skipped: Counter[str] = Counter()
    found = [item.id for item in read_metadata(tmp_path / "yfcc.tsv", skipped=skipped)]
    assert found == ["1", "10", "11"]
    assert skipped == {
        "video": 1,
        "format": 1,
        "no tags": 1,
        "no coordinates": 1,
        "coordinates": 4,
        "columns": 1,
    }


def test_compressed_files(tmp_path: Path) -> None:
    (tmp_path / "a.tsv.bz2").write_bytes(bz2.compress(row().encode()))
    (tmp_path / "a.tsv.gz").write_bytes(gzip.compress(row().encode()))
    for name in ("a.tsv.bz2", "a.tsv.gz"):
        assert [item.id for item in read_metadata(tmp_path / name)] == ["5133463568"]


@pytest.mark.parametrize(
    ("raw", "tag"),
    [
        ("New+York", "newyork"),
        ("S%C3%A3o+Paulo", "sãopaulo"),
        ("c%2B%2B", "c"),
        ("%E6%9D%B1%E4%BA%AC", "東京"),
    ],
)
def test_tags_are_decoded(raw: str, tag: str) -> None:
    assert normalise_tag(raw) == tag


def test_places(tmp_path: Path) -> None:
    lines = [
        "1\t23424977:United+States:Country,2347591:New+York:State,2459115:New+York:Town",
        "2\t",
        "3\t44418:a:b:Town,23424975:C%C3%B4te+d%27Ivoire:Country",
    ]
    (tmp_path / "places").write_text("\n".join(lines), encoding="utf-8")
    assert read_places(tmp_path / "places") == {
        "1": ("United States", "New York"),
        "2": ("", ""),
        "3": ("Côte d'Ivoire", "a:b"),
    }
    (tmp_path / "places").write_text("1\tok\nno tab\n")
    with pytest.raises(ValueError, match="places, line 2: no tab"):
        read_places(tmp_path / "places")


def test_a_split_comes_back_as_it_was_written(tmp_path: Path) -> None:
    photos = [
        GeotaggedPhoto("1", ("snow", "東京"), "Japan", "Tōkyō", 35.6895, 139.6917, "http://x/1.jpg?a=1;b=2"),
        GeotaggedPhoto("2", ("sea",), "", "", -90.0, -180.0, "extra/2.jpg"),
    ]
    assert write_split(tmp_path / "test.txt", photos) == 2
    assert list(read_split(tmp_path / "test.txt")) == photos
    first = (tmp_path / "test.txt").read_text(encoding="utf-8").splitlines()[0]
    assert first == "1;snow,東京;Japan;Tōkyō;35.689500;139.691700;http://x/1.jpg?a=1;b=2"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1;snow;;;1;2", "line 2: 6 fields"),
        ("1;snow;;;91;2;u", "line 2: photo 1: latitude must be from -90 to 90, not 91.0"),
        ("1;snow;;;nan;2;u", "line 2: photo 1: latitude must be from -90 to 90, not nan"),
        ("1;snow;;;1;-181;u", "line 2: photo 1: longitude must be from -180 to 180, not -181.0"),
        ("1;snow;;;north;2;u", "line 2: could not convert"),
        ("1;snow,;;;1;2;u", "line 2: an empty tag"),
    ],
)
def test_a_broken_split_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "val.txt").write_text(f"0;sea;;;1;2;u\n{line}\n")
    with pytest.raises(ValueError, match="val.txt, " + message):
        list(read_split(tmp_path / "val.txt"))


@pytest.mark.parametrize("tags", [(), ("a,b",), ("a;b",), ("a\nb",), ("",)])
def test_what_would_not_come_back_is_not_written(tmp_path: Path, tags: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="photo 1"):
        write_split(tmp_path / "train.txt", [photo(tags=tags)])


def test_coordinates_must_be_on_earth() -> None:
    for lat, lon in ((90, 180), (-90, -180)):
        photo(lat=lat, lon=lon)
    for lat, lon in ((math.nan, 0), (0, math.inf), (90.001, 0), (0, -180.001)):
        with pytest.raises(ValueError, match=r"photo 1: (latitude|longitude) must be from"):
            photo(lat=lat, lon=lon)


def test_vocabulary() -> None:
    counts = {f"top{letter}": 100 for letter in "abcdefghij"} | {
        "mp3": 90,
        "snow": 50,
        "sea": 50,
        "notaword": 40,
        "fog": 30,
    }
    assert build_vocabulary(counts) == ["sea", "snow", "notaword", "fog"]
    known = {word for word in counts if word != "notaword"}
    assert build_vocabulary(counts, known=known, size=3) == ["sea", "snow", "fog"]
    # Words that are not known are not among the ten that are dropped.
    assert build_vocabulary(counts, drop=1, known={"snow", "sea", "fog"}) == ["snow", "fog"]
    assert build_vocabulary(counts, drop=0, size=2) == ["topa", "topb"]


def test_tags_are_counted_once_a_photo() -> None:
    assert count_tags([photo(tags=("a", "b", "a")), photo(tags=("a",))]) == {"a": 2, "b": 1}


def test_photos_with_one_to_fifteen_known_tags() -> None:
    letters = tuple("abcdefghijklmnop")
    photos = [
        photo("1", ("a", "unknown")),
        photo("2", ("unknown",)),
        photo("3", letters),
        photo("4", letters[:15]),
    ]
    kept = list(keep_known_tags(photos, set(letters)))
    assert [(item.id, len(item.tags)) for item in kept] == [("1", 1), ("4", 15)]
    assert kept[0].tags == ("a",)


def test_parts() -> None:
    photos = [photo(str(number)) for number in range(20)]
    train, val, test = part_photos(photos, test=5, val=3)
    assert [len(train), len(val), len(test)] == [12, 3, 5]
    assert {item.id for item in train + val + test} == {str(number) for number in range(20)}
    assert part_photos(photos, test=5, val=3) == (train, val, test)
    assert part_photos(photos, test=5, val=3, seed=1)[2] != test
    with pytest.raises(ValueError, match="20 photos cannot give 17 for test, 3 for val"):
        part_photos(photos, test=17, val=3)
