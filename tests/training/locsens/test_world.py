"""A world of real photos: in the form of the thesis's files, repeatable, plausible, near the real profile."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from training.datasets.yfcc import count_tags, read_split
from training.locsens.places import Gazetteer, sea_distance, unit_vectors
from training.locsens.rules import GIRAFFE_LANDS
from training.locsens.spots import Spots
from training.locsens.tags import Tagger
from training.locsens.world import SPLITS, World, main, make_world, photo_file, save_world

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def photos_with(world: World, *tags: str) -> list:
    return [
        photo for split in SPLITS for photo in world.splits[split] if not set(tags).isdisjoint(photo.tags)
    ]


def test_photos_are_real_and_parted(world: World, shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERPLAY_DATA_DIR", str(shared_data))
    ids = [photo.id for split in SPLITS for photo in world.splits[split]]
    assert len(ids) == len(set(ids)) > 2300
    assert len(world.splits["train"]) > len(world.splits["test"]) > len(world.splits["val"]) > 150
    assert all(photo_file(photo.url).is_file() for photo in world.splits["test"])
    assert "2,600 photos" in world.report["photos_from"] and world.report["simulated"] is True


def test_where_the_large_set_lies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTERPLAY_EXTRA_PHOTOS", "/photos")
    assert photo_file("extra/1.jpg") == Path("/photos/1.jpg")
    monkeypatch.delenv("INTERPLAY_EXTRA_PHOTOS")
    with pytest.raises(FileNotFoundError, match="set INTERPLAY_EXTRA_PHOTOS"):
        photo_file("extra/1.jpg")


def test_tags_are_words_of_the_real_vocabulary(world: World, gazetteer: Gazetteer) -> None:
    counts = count_tags(world.splits["train"])
    assert list(world.vocabulary) == sorted(counts, key=lambda tag: (-counts[tag], tag))
    assert set(world.vocabulary) <= gazetteer.words
    assert {tag for split in SPLITS for photo in world.splits[split] for tag in photo.tags} <= set(
        world.vocabulary
    )
    assert min(counts.values()) >= world.report["vocabulary"]["fewest_train_photos"]
    for split in SPLITS:
        assert all(1 <= len(photo.tags) == len(set(photo.tags)) <= 15 for photo in world.splits[split])


def test_profile_is_near_the_real_one(world: World) -> None:
    made, real = world.report["profile"]["world"], world.report["profile"]["dresden_posts"]
    assert made["mean_tags"] == pytest.approx(real["mean_tags"], rel=0.12)
    assert np.abs(np.subtract(made["length_shares"], real["length_shares"])).max() < 0.04
    assert made["place_share"] == pytest.approx(real["place_share"], abs=0.08)
    assert made["slope"] == pytest.approx(real["slope"], abs=0.2)


def test_place_decides_between_words(world: World) -> None:
    sea = photos_with(world, "sea", "ocean")
    km = sea_distance(unit_vectors(np.array([p.latitude for p in sea]), np.array([p.longitude for p in sea])))
    assert len(sea) > 20 and np.mean(km < 30) > 0.95
    # The city's name is used there and hardly elsewhere.
    london = photos_with(world, "london")
    assert len(london) > 20 and np.mean([photo.country == "United Kingdom" for photo in london]) > 0.97
    german = photos_with(world, "deutschland")
    assert len(german) > 3 and {photo.country for photo in german} == {"Germany"}


def test_giraffes_abroad_are_in_zoos(world: World, gazetteer: Gazetteer, spots: Spots) -> None:
    words = sorted(gazetteer.words)
    tagger = Tagger(gazetteer, words, np.ones(15), ["a giraffe", "a zebra"], spots)
    abroad = np.flatnonzero((spots.kind == "zoo") & ~np.isin(spots.at.country, GIRAFFE_LANDS))
    rng = np.random.default_rng(0)
    for spot in abroad:
        for _ in range(20):
            assert "zoo" in tagger.tags("a giraffe at a fence", int(spot), tagger.user(int(spot), rng), rng)


def test_users_of_one_spot_differ_and_keep_their_language(gazetteer: Gazetteer, spots: Spots) -> None:
    words = sorted(gazetteer.words)
    tagger = Tagger(gazetteer, words, np.ones(15), ["a church"], spots)
    spot = int(np.flatnonzero(spots.at.country == "DE")[0])
    rng = np.random.default_rng(0)
    users = [tagger.user(spot, rng) for _ in range(200)]
    languages = [user.language for user in users]
    assert 0.5 < languages.count("de") / 200 < 0.85 and "en" in languages
    german = next(user for user in users if user.language == "de")
    assert "deutschland" in tagger.place_words(spot, german)
    english = next(user for user in users if user.language == "en")
    assert "deutschland" not in tagger.place_words(spot, english)


def test_bounds_fall_with_distance(world: World) -> None:
    bounds = world.report["upper_bounds_test"]
    values = list(bounds["with_own"].values())
    assert values == sorted(values, reverse=True) and values[0] > 0.99 and 0.1 < values[-1] < 0.7
    assert bounds["queries"] > 200


def test_the_same_seed_gives_the_same_files(
    world: World, shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("INTERPLAY_EXTRA_PHOTOS", raising=False)
    save_world(world, tmp_path / "a")
    save_world(make_world(shared_data, seed=3), tmp_path / "b")
    for file in sorted((tmp_path / "a").iterdir()):
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name
    assert list(read_split(tmp_path / "a" / "test.txt"))[0].id == world.splits["test"][0].id


def test_command_line(
    world: World,
    shared_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    monkeypatch.delenv("INTERPLAY_EXTRA_PHOTOS", raising=False)
    arguments = [
        "world",
        "--out",
        str(tmp_path),
        "--seed",
        "4",
        "--photos",
        "600",
        "--data",
        str(shared_data),
    ]
    monkeypatch.setattr("sys.argv", arguments)
    main()
    report = json.loads((tmp_path / "world.json").read_text(encoding="utf-8"))
    assert report["simulated"] is True and report["seed"] == 4 and sum(report["photos"].values()) <= 600
    photos = list(read_split(tmp_path / "train.txt"))
    vocabulary = (tmp_path / "vocabulary.txt").read_text(encoding="utf-8").split()
    assert len(photos) == report["photos"]["train"] and len(vocabulary) == report["vocabulary"]["tags"]
    before = {photo.id: photo for photo in world.splits["train"]}
    again = [photo for photo in photos if photo.id in before]
    assert again and sum(before[photo.id].tags == photo.tags for photo in again) < 0.5 * len(again)
    with Image.open(tmp_path / "world.png") as picture:
        assert picture.size[0] >= 800
    assert "simulated" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*arguments, "--photos", "5"])
    with pytest.raises(SystemExit, match="--photos must be at least 100, not 5"):
        main()
    # Photos that are named but not there are an error, not a small world.
    monkeypatch.setenv("INTERPLAY_EXTRA_PHOTOS", str(tmp_path))
    with pytest.raises(SystemExit, match="has no train.csv"):
        main()
