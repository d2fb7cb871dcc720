"""What is known of points: names, seas and climates of real places; no seam at poles and date line."""

import numpy as np
import pytest

from training.locsens.places import (
    Gazetteer,
    chord,
    climates,
    is_sea,
    kilometres,
    moved,
    sea_distance,
    unit_vectors,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_known_places(gazetteer: Gazetteer) -> None:
    at = gazetteer.describe(np.array([51.05, 41.39, 37.77, 46.02]), np.array([13.74, 2.17, -122.42, 7.75]))
    assert at.country.tolist() == ["DE", "ES", "US", "CH"]
    assert at.continent.tolist() == ["EU", "EU", "NA", "EU"]
    assert at.region.tolist() == ["Saxony", "Catalonia", "California", "Valais"]
    cities = [gazetteer.cities[row]["name"] if row >= 0 else "" for row in at.city]
    assert cities == ["Dresden", "Barcelona", "San Francisco", ""]
    assert at.town[3] == "Zermatt" and at.climate[3] in ("ET", "Dfc")
    assert gazetteer.country(str(at.country[0])) == "Germany"


def test_names_in_several_languages(gazetteer: Gazetteer) -> None:
    at = gazetteer.describe(np.array([41.39]), np.array([2.17]))
    assert {"barcelona", "bcn", "barcelone"} <= set(gazetteer.city_names(int(at.city[0])))
    at = gazetteer.describe(np.array([47.61]), np.array([-122.33]))
    assert "seattle" in gazetteer.city_names(int(at.city[0])) and "sea" not in gazetteer.city_names(
        int(at.city[0])
    )
    assert gazetteer.country_names("DE")["de"] == ["deutschland"]
    assert gazetteer.country_names("DE")["fr"] == ["allemagne"]
    assert gazetteer.country_names("US")["en"][0] == "unitedstates"
    assert gazetteer.continent_names("EU")["es"] == ["europa"]
    assert "sachsen" in gazetteer.region_names("Saxony")
    assert [gazetteer.language(code) for code in ("DE", "BR", "US", "JP")] == ["de", "pt", "en", "en"]


def test_only_words_of_the_vocabulary(gazetteer: Gazetteer) -> None:
    assert gazetteer.all_names <= gazetteer.words
    assert gazetteer.known(["Xyzzyburgh", "San Francisco", "San Francisco"]) == ["sanfrancisco"]


def test_distance_to_the_sea() -> None:
    # Barcelona's beach, Madrid (some 300 km), Chicago: Lake Michigan is no sea.
    km = sea_distance(unit_vectors(np.array([41.38, 40.42, 41.88]), np.array([2.19, -3.70, -87.62])))
    assert km[0] < 3 and 250 < km[1] < 350 and km[2] > 500
    assert is_sea(np.array([30.0, 41.9]), np.array([-40.0, -87.0])).tolist() == [True, False]


def test_poles_and_date_line(gazetteer: Gazetteer) -> None:
    at = gazetteer.describe(np.array([90.0, -90.0, -16.8, -16.8]), np.array([0.0, 17.0, 180.0, -180.0]))
    assert at.country[:2].tolist() == ["", ""]
    assert at.country[2] == at.country[3] == "FJ" and at.town[2] == at.town[3]
    assert np.all(np.isfinite(at.sea_km)) and np.allclose(at.sea_km[2], at.sea_km[3])
    assert climates(np.array([-16.8]), np.array([180.0])) == climates(np.array([-16.8]), np.array([-180.0]))


@pytest.mark.parametrize(("lat", "lon"), [(91.0, 0.0), (0.0, 181.0), (np.nan, 0.0), (0.0, np.nan)])
def test_points_that_are_not_on_earth(gazetteer: Gazetteer, lat: float, lon: float) -> None:
    with pytest.raises(ValueError, match="latitudes must be from -90 to 90"):
        gazetteer.describe(np.array([lat]), np.array([lon]))


def test_moving_over_pole_and_date_line() -> None:
    lat, lon = moved(
        np.array([89.9, 0.0, 90.0]), np.array([10.0, 179.9, 0.0]), 50.0, np.array([0.0, np.pi / 2, 1.0])
    )
    assert lat[0] < 90 and lon[0] == pytest.approx(-170)
    assert lon[1] == pytest.approx(-179.65, abs=0.01)
    assert np.all(np.abs(lat) <= 90) and np.all(np.abs(lon) <= 180)
    there = unit_vectors(lat, lon)
    start = unit_vectors(np.array([89.9, 0.0, 90.0]), np.array([10.0, 179.9, 0.0]))
    assert kilometres(np.linalg.norm(there - start, axis=1)) == pytest.approx([50, 50, 50], rel=1e-6)


@pytest.mark.parametrize("km", [0.1, 1.0, 750.0, 20000.0])
def test_chords_are_distances(km: float) -> None:
    assert kilometres(np.array([chord(km)]))[0] == pytest.approx(km, rel=1e-6)
