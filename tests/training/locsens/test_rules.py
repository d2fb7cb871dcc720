"""Rules from captions to places: right captions, and spots where such photos can be."""

import numpy as np
import pytest

from training.locsens.places import sea_distance, unit_vectors
from training.locsens.rules import ELEPHANT_LANDS, GIRAFFE_LANDS, KINDS, RULES
from training.locsens.spots import Spots, scatter
from training.locsens.world import assign

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PHOTOS = 400


def matching(caption: str) -> tuple[int, ...]:
    return tuple(row for row, rule in enumerate(RULES) if rule.matches(caption))


def placed(caption: str, spots: Spots) -> np.ndarray:
    return assign([matching(caption)] * PHOTOS, spots, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("caption", "first"),
    [
        ("a man riding a wave on a surfboard", "surfing"),
        ("two people skiing down a slope", "skiing"),
        ("a giraffe standing behind a fence", "fenced giraffes and zebras"),
        ("giraffes grazing under a tree", "giraffes and zebras"),
        ("people walk across a zebra crossing in a city", "buses and traffic"),
        ("a red double decker bus", "double-deckers"),
        ("a batter swings at a baseball game", "baseball"),
        ("a pitcher of water on a plate", "food out and at home"),
        ("playing tennis on the wii", "homes"),
        ("a teddy bear on a bed", "homes"),
    ],
)
def test_captions(caption: str, first: str) -> None:
    assert next(RULES[row].name for row in matching(caption) if RULES[row].kinds) == first


def test_surfers_are_by_the_sea(spots: Spots) -> None:
    where = placed("a surfer rides a wave", spots)
    lat, lon = scatter(spots, where, np.random.default_rng(0))
    km = sea_distance(unit_vectors(lat, lon))
    assert np.mean(km < 30) == 1.0 and np.mean(km < 5) > 0.9
    assert set(spots.kind[where]) == {"beach"}


def test_skiers_are_in_high_or_cold_places(spots: Spots) -> None:
    climate = spots.at.climate[placed("a skier on a snowy slope", spots)]
    cold = np.char.startswith(climate, "D") | np.char.startswith(climate, "E")
    assert cold.all() and np.mean(np.isin(climate, ("ET", "Dfc", "Dsc", "Dwc", "Dsb"))) > 0.6


def test_giraffes_are_where_they_live_or_in_zoos(spots: Spots) -> None:
    where = placed("two giraffes under a tree", spots)
    wild = spots.kind[where] != "zoo"
    assert 0.4 < wild.mean() < 0.9
    assert set(spots.at.country[where][wild]) <= set(GIRAFFE_LANDS)
    assert set(spots.kind[placed("a giraffe behind a fence", spots)]) == {"zoo"}


def test_ridden_elephants_are_asian(spots: Spots) -> None:
    assert set(spots.at.country[placed("people riding an elephant", spots)]) <= set(ELEPHANT_LANDS)


@pytest.mark.parametrize(
    ("caption", "countries"),
    [
        ("a red double decker bus", {"GB", "HK", "SG", "IE"}),
        ("a yellow taxi cab", {"US", "CA"}),
        ("tourists at big ben", {"GB"}),
        ("the eiffel tower at night", {"FR"}),
    ],
)
def test_what_only_some_countries_have(spots: Spots, caption: str, countries: set[str]) -> None:
    assert set(spots.at.country[placed(caption, spots)]) <= countries


def test_hydrants_are_mostly_american(spots: Spots) -> None:
    assert np.mean(np.isin(spots.at.country[placed("a red fire hydrant", spots)], ("US", "CA"))) > 0.8


def test_every_kind_has_spots_that_suit_it(spots: Spots) -> None:
    for name, kind in KINDS.items():
        rows = spots.kind == name
        assert rows.any() and np.all(np.asarray(kind.where(spots.at.take(rows))) > 0), name
        popularity = spots.popularity[rows]
        assert np.all(np.diff(popularity) < 0) and popularity[0] == 1


def test_photos_lie_around_their_spot(spots: Spots) -> None:
    rows = np.flatnonzero(spots.kind == "zoo").repeat(200)
    lat, lon = scatter(spots, rows, np.random.default_rng(0))
    middles = unit_vectors(spots.at.latitude[rows], spots.at.longitude[rows])
    km = 6371 * np.linalg.norm(unit_vectors(lat, lon) - middles, axis=1)
    assert (
        np.median(km) == pytest.approx(KINDS["zoo"].spread_km, rel=0.1)
        and km.max() < 8.1 * KINDS["zoo"].spread_km
    )


def test_every_rule_is_sound() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert set(rule.kinds) <= set(KINDS), rule.name
        factors = [
            *rule.countries.values(),
            *rule.cities.values(),
            *rule.climates.values(),
            *rule.kinds.values(),
        ]
        assert factors and all(factor >= 0 for factor in factors), rule.name
