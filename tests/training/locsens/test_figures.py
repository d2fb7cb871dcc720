"""Figures of a tiny world with random models: what is written is what the predictors rank."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from interplay.media.images import encode_jpeg
from interplay.models.image_embedding import LITE0_FEATURES
from interplay.predictors.locsens.image import ImageTagger, TaggedImage
from interplay.predictors.locsens.retriever import ImageRanker, ScoreItem
from interplay.predictors.locsens.tagger import PlaceTagger, TagItem
from tests.embedding_models import COLOURS, plain
from tests.locsens_models import TAGS, make_locsens_store
from training.datasets.yfcc import GeotaggedPhoto, write_split
from training.locsens import page
from training.locsens.data import load_photos
from training.locsens.figures import main, make_records
from training.locsens.figures_plan import read_plan
from training.locsens.gallery import Gallery, read_photo
from training.locsens.page import GREEN, LAND, MOST_BYTES, ORANGE, PAPER, SEA, WIDTH, Map, Sheet, save
from training.locsens.sheets import draw

TOWNS = {"Barcelona": ("Spain", 41.4, 2.2), "Sydney": ("Australia", -33.9, 151.2)}
PLAN = """
[places]
Barcelona = ["Spain", 41.39, 2.17]
Sydney = ["Australia", -33.87, 151.21]
"São Paulo" = ["Brazil", -23.55, -46.63]
[spread]
tags = ["red", "sea"]
places = ["Barcelona", "Sydney", "São Paulo"]
[[rows]]
figure = "5.5"
title = "Tags at places"
queries = [{ tag = "blue", places = ["Sydney", "Barcelona"] }, { tag = "red", places = ["São Paulo"] }]
[alone]
photos = 3
least_tags = 2
words = ["sea", "redsea"]
[[faked]]
figure = "5.8"
queries = [{ tag = "green", places = ["Barcelona", "Sydney"] }]
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_locsens_store(tmp_path_factory.mktemp("model") / "store")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sixteen photos of four colours in two towns; those of Barcelona have the sea."""
    folder = tmp_path_factory.mktemp("world")
    (folder / "photos").mkdir()
    photos = []
    for row in range(16):
        colour, town = list(COLOURS)[row % 4], list(TOWNS)[row // 8]
        (folder / "photos" / f"{row}.jpg").write_bytes(encode_jpeg(plain(colour, seed=row)))
        tags = (colour, town.lower(), "sea") if town == "Barcelona" else (colour,)
        photos.append(
            GeotaggedPhoto(
                f"{row}.jpg", tags, TOWNS[town][0], town, TOWNS[town][1], TOWNS[town][2], f"extra/{row}.jpg"
            )
        )
    for part in ("train", "test"):
        write_split(folder / f"{part}.txt", photos)
    (folder / "vocabulary.txt").write_text("\n".join(TAGS))
    (folder / "world.json").write_text('{"simulated": true}')
    (folder / "plan.toml").write_text(PLAN, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def photos(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("INTERPLAY_EXTRA_PHOTOS", str(world / "photos"))
    return world / "photos"


def run(monkeypatch: pytest.MonkeyPatch, world: Path, store: Path, out: Path, *further: str) -> None:
    line = ["figures", "--world", str(world), "--store", str(store), "--out", str(out)]
    monkeypatch.setattr(sys, "argv", [*line, "--plan", str(world / "plan.toml"), *further])
    main()


@pytest.fixture(scope="module")
def made(world: Path, store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes."""
    out = tmp_path_factory.mktemp("out") / "figures"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERPLAY_EXTRA_PHOTOS", str(world / "photos"))
        run(patch, world, store, out)
    return out


@pytest.fixture(scope="module")
def record(made: Path) -> dict[str, Any]:
    return json.loads((made / "figures.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def figure(record: dict[str, Any], number: str) -> dict[str, Any]:
    return next(figure for figure in record["figures"] if figure["figure"] == number)


def degrees(place: dict[str, Any]) -> np.ndarray:
    return np.array([place["latitude"], place["longitude"]])


def test_the_command_writes_sheets_that_the_record_names(made: Path, record: dict[str, Any]) -> None:
    numbers = ["5.2", "5.3", "5.5", "5.7", "5.8"]
    assert [figure["figure"] for figure in record["figures"]] == numbers
    named = {figure["file"] for figure in record["figures"]}
    assert {file.name for file in made.iterdir()} == named | {"figures.json", "figures.md"}
    for name in named:
        with PillowImage.open(made / name) as sheet:
            assert sheet.format == "PNG" and sheet.width == WIDTH and 300 < sheet.height < 1400
            assert ORANGE in {colour for _, colour in sheet.convert("RGB").getcolors(1 << 24) or []}
        assert (made / name).stat().st_size <= MOST_BYTES
    assert record["simulated"] is True and record["world"]["test_photos"] == 16
    assert set(record["models"]) == {"locsens-image", "locsens-retrieval", "locsens-tagging"}


@pytest.fixture(scope="module")
def seen(world: Path, store: Path) -> list[TaggedImage]:
    """What the image model says of each photo, one photo at a time."""
    tagger = ImageTagger.open(store, device="cpu")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTERPLAY_EXTRA_PHOTOS", str(world / "photos"))
        return [tagger.predict([read_photo(f"extra/{row}.jpg")])[0] for row in range(16)]


def test_photos_are_those_that_the_ranker_puts_first(
    record: dict[str, Any], store: Path, seen: list[TaggedImage]
) -> None:
    image = ImageTagger.open(store, device="cpu")
    ranker = ImageRanker.open(store, image.manifest, image.tag_vectors, device="cpu")
    vectors = np.stack([tagged.vector for tagged in seen])
    queries = [query for number in ("5.2", "5.3", "5.5") for query in figure(record, number)["queries"]]
    assert len(queries) == 3 + 3 + 3
    firsts = []
    for query in queries:
        scores = ranker.score(ScoreItem(vectors, (TAGS.index(query["tag"]),), degrees(query["place"])))
        best = np.argsort(-scores)[: len(query["photos"])]
        assert [photo["id"] for photo in query["photos"]] == [f"{row}.jpg" for row in best]
        assert [photo["score"] for photo in query["photos"]] == pytest.approx(scores[best], abs=1e-4)
        for photo, row in zip(query["photos"], best, strict=True):
            assert photo["tagged"] == (query["tag"] in photo["tags"])
            town = list(TOWNS)[row // 8]
            assert photo["town"] == town and (photo["km"] < 10) == (query["place"]["name"] == town)
        firsts.append(query["photos"][0]["score"])
    # One is asked twice. The scores tell the others apart: that of another tag or place would be noticed.
    assert len(set(firsts)) == len(queries) - 1
    assert np.diff(sorted(set(firsts))).min() > 2e-4


def test_tags_are_those_of_the_image_model_and_of_the_tagger_at_the_place(
    record: dict[str, Any], store: Path, seen: list[TaggedImage]
) -> None:
    image = ImageTagger.open(store, device="cpu")
    tagger = PlaceTagger.open(store, image.manifest, image.tag_vectors, device="cpu")

    def check(photo: dict[str, Any], place: dict[str, Any], alone: Any, found: Any) -> None:
        tagged = seen[int(photo["id"].removesuffix(".jpg"))]
        assert [tag["tag"] for tag in alone] == [TAGS[tag] for tag in np.argsort(-tagged.chances)[:5]]
        best = tagger.tag(TagItem(tagged.vector, tagged.chances, degrees(place), exact=True))
        assert [tag["tag"] for tag in found] == [TAGS[tag] for tag in best.tags[:5]]
        assert [tag["score"] for tag in found] == pytest.approx(best.scores[:5], abs=1e-4)

    photos = figure(record, "5.7")["photos"]
    assert len({photo["id"] for photo in photos}) == 3
    for photo in photos:
        assert "sea" in photo["tags"]
        check(photo, photo, photo["alone"], photo["at_place"])
    (row,) = figure(record, "5.8")["rows"]
    assert "green" in row["photo"]["tags"] and row["drawn_from"] == 4
    for at in row["places"]:
        check(row["photo"], at["place"], row["alone"], at["tags"])
        assert at["known_photos_near"] == 8
    assert row["places"][0]["tags"] != row["places"][1]["tags"]


def test_the_tables_say_what_the_record_says(made: Path, record: dict[str, Any]) -> None:
    text = (made / "figures.md").read_text(encoding="utf-8")
    assert text.startswith("# Figures of LocSens in a simulated world\n")
    for query in figure(record, "5.5")["queries"]:
        photo = query["photos"][0]
        assert f"| {query['tag']} | {query['place']['name']} | 1 | {photo['id']} " in text
        assert f"| {photo['score']:.2f} |" in text
    for shown in record["figures"]:
        assert f"]({shown['file']})" in text and shown["caption"] in text


def test_the_seed_draws_the_photos_and_the_same_one_the_same(
    world: Path, store: Path, record: dict[str, Any]
) -> None:
    gallery = Gallery.open(world, store)
    plan = read_plan(world / "plan.toml", ("green", "white"))
    same, other = (make_records(gallery, plan, seed=seed) for seed in (0, 1))
    for number in ("5.7", "5.8"):
        assert figure({"figures": same}, number) == figure(record, number)
    assert figure({"figures": other}, "5.7")["photos"] != figure(record, "5.7")["photos"]
    assert [figures["queries"][0]["tag"] for figures in same[:2]] == ["green", "white"]


def test_features_stand_for_the_photos(world: Path, store: Path, tmp_path: Path) -> None:
    features = np.random.default_rng(0).normal(size=(16, 1, LITE0_FEATURES)).astype(np.float16)
    np.save(tmp_path / "test.npy", features)
    gallery = Gallery.open(world, store, tmp_path)
    import torch

    expected = gallery.image.tag_features(torch.from_numpy(features[:, 0].astype(np.float32)))
    assert np.allclose(gallery.vectors, [tagged.vector for tagged in expected], atol=1e-5)
    np.save(tmp_path / "test.npy", features[:9])
    with pytest.raises(ValueError, match="has 9 photos, the world 16"):
        Gallery.open(world, store, tmp_path)


def test_what_is_missing_is_named(
    world: Path, store: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit, match="'temple' is not one of the 9 of the world's vocabulary"):
        run(monkeypatch, world, store, tmp_path, "--tags", "temple", "red")
    (tmp_path / "plan.toml").write_text(PLAN.replace('Sydney = ["Au', 'Perth = ["Au'), encoding="utf-8")
    with pytest.raises(SystemExit, match="not a plan: places: .*no such place: Sydney"):
        run(monkeypatch, world, store, tmp_path, "--plan", str(tmp_path / "plan.toml"))
    (tmp_path / "plan.toml").write_text(PLAN.replace("photos = 3", "photos = 9"), encoding="utf-8")
    with pytest.raises(SystemExit, match="8 test photos have 2 tags and a word .*; 9 are to be drawn"):
        run(monkeypatch, world, store, tmp_path, "--plan", str(tmp_path / "plan.toml"))
    (photos / "5.jpg").rename(photos / "away.jpg")
    try:
        with pytest.raises(SystemExit, match=r"photo .*5\.jpg is missing; .*INTERPLAY_EXTRA_PHOTOS"):
            run(monkeypatch, world, store, tmp_path)
    finally:
        (photos / "away.jpg").rename(photos / "5.jpg")


def test_models_of_another_vocabulary_are_refused(world: Path, store: Path, tmp_path: Path) -> None:
    for name in ("train.txt", "test.txt"):
        (tmp_path / name).write_bytes((world / name).read_bytes())
    (tmp_path / "vocabulary.txt").write_text("\n".join(TAGS[:-1]))
    assert len(load_photos(tmp_path, "test").photos) == 16
    with pytest.raises(ValueError, match=r"another vocabulary \(9 tags\) than .* \(8 tags\)"):
        Gallery.open(tmp_path, store)


def test_a_sheet_shows_the_photos_of_its_record_and_says_simulated_only_if_so(record: dict[str, Any]) -> None:
    spread = figure(record, "5.2")

    def reader(colour: str) -> np.ndarray:
        return plain(colour)

    for colour in ("red", "blue"):
        sheet = np.asarray(draw(spread, lambda _, colour=colour: reader(colour), simulated=False))
        shown = {name: int((sheet == rgb).all(axis=2).sum()) for name, rgb in COLOURS.items()}
        assert shown[colour] > 3 * 100_000 and shown["blue" if colour == "red" else "red"] == 0
        assert not (sheet == ORANGE).all(axis=2).any()


def test_a_tick_says_that_the_photo_has_the_tag(record: dict[str, Any]) -> None:
    def green(tagged: bool) -> int:
        queries = [
            query | {"photos": [photo | {"tagged": tagged} for photo in query["photos"]]}
            for query in figure(record, "5.5")["queries"]
        ]
        changed = figure(record, "5.5") | {"queries": queries}
        return int((np.asarray(draw(changed, lambda _: plain("red"), simulated=True)) == GREEN).all(2).sum())

    assert green(True) > 0 and green(False) == 0


@pytest.mark.parametrize(
    ("latitude", "longitude", "land"),
    [
        (40.4, -3.7, True), (-25, 134, True), (39, -98, True), (65, 100, True), (0, 20, True),
        (-10, -55, True), (35, -40, False), (0, -140, False), (-30, 80, False), (36, 18, False),
        (60, -86, False),
    ],
)  # fmt: skip
def test_the_map_has_land_where_it_is(latitude: float, longitude: float, land: bool) -> None:
    sheet = Sheet()
    x, y = Map(sheet, (28, 100), 1344).point({"latitude": latitude, "longitude": longitude})
    assert sheet.page.getpixel((round(x), round(y))) == (LAND if land else SEA)


def test_discs_of_one_place_do_not_lie_over_one_another() -> None:
    apart = page._apart(np.array([[5.0, 5.0], [5.0, 5.0], [9.0, 5.0], [300.0, 5.0]]), 23.0)
    between = np.hypot(*np.moveaxis(apart[:, None] - apart[None], -1, 0))
    assert between[np.triu_indices(4, 1)].min() > 22.5
    assert apart[3] == pytest.approx([300, 5], abs=0.1)


def test_a_sheet_is_never_larger_than_the_limit_and_keeps_its_own_colours(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 8, (620, WIDTH, 3), dtype=np.uint8) * 36
    noise[:20] = PAPER
    noise[20:40] = GREEN
    save(PillowImage.fromarray(noise), tmp_path / "noise.png")
    assert 300_000 < (tmp_path / "noise.png").stat().st_size <= MOST_BYTES
    with PillowImage.open(tmp_path / "noise.png") as saved:
        pixels = np.asarray(saved.convert("RGB"))
    assert (pixels[:20] == PAPER).all() and (pixels[20:40] == GREEN).all()


def test_the_plan_of_the_package() -> None:
    plan = read_plan()
    assert [rows.figure for rows in plan.rows] == ["5.5", "5.6"]
    assert [faked.figure for faked in plan.faked] == ["5.8", "5.9"]
    assert len(plan.spread.places) == 8 and "São Paulo" in plan.places
