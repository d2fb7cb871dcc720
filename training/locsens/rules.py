"""Where photos of which content are taken: kinds of spots, and rules from captions to them.

A spot is a place where many photos are taken, and has one kind. The first rule of `rules.toml` that matches a
caption and names kinds says which kinds of spots the photo may be at; every rule that matches says which
countries, cities and climates are likelier.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from training.locsens.places import Surroundings

GIRAFFE_LANDS = ("KE", "TZ", "ZA", "BW", "NA", "ZM", "ZW", "UG", "SZ", "MW")
ELEPHANT_LANDS = ("IN", "LK", "TH", "NP", "MM", "LA", "KH", "ID", "MY")
BASEBALL_LANDS = ("US", "CA", "JP", "KR", "TW", "DO", "VE", "MX")
RAILWAY_LANDS = ("GB", "DE", "CH", "JP", "IN")
HIGH_OR_NORTHERN = ("ET", "EF", "Dfc", "Dsc", "Dwc", "Dsb")
SNOWY = ("Dfb", "Dwb")
# Shares of kinds where no rule that matches names any.
ANYWHERE = {"home": 0.5, "street": 0.3, "park": 0.2, "oldtown": 0.1}


@dataclass(frozen=True)
class Kind:
    """A kind of spot.

    Attributes:
        spots: how many the world has of it.
        spread_km: half of the photos are nearer to the middle of the spot than this.
        where: weights of points [N], 0 where such a spot cannot be.
    """

    spots: int
    spread_km: float
    where: Callable[[Surroundings], NDArray]


@dataclass(frozen=True)
class Rule:
    """What captions that match say about where the photo was taken: see `rules.toml`."""

    name: str
    words: re.Pattern[str]
    unless: re.Pattern[str] | None = None
    kinds: Mapping[str, float] = field(default_factory=dict)
    countries: Mapping[str, float] = field(default_factory=dict)
    cities: Mapping[str, float] = field(default_factory=dict)
    climates: Mapping[str, float] = field(default_factory=dict)

    def matches(self, caption: str) -> bool:
        """Whether the rule speaks of this caption (lower case)."""
        return self.words.search(caption) is not None and not (self.unless and self.unless.search(caption))


def _in_cities(people: float) -> Callable[[Surroundings], NDArray]:
    return lambda at: np.where(at.people >= people, 1.0, 0.0)


def _starts(climate: NDArray[np.str_], *letters: str) -> NDArray[np.bool_]:
    return np.logical_or.reduce([np.char.startswith(climate, start) for start in letters])


def _old_towns(at: Surroundings) -> NDArray:
    return np.where(at.people >= 20_000, np.where(at.continent == "EU", 4.0, 1.0), 0.0)


def _ballparks(at: Surroundings) -> NDArray:
    return (at.people >= 300_000) & np.isin(at.country, BASEBALL_LANDS)


def _skateparks(at: Surroundings) -> NDArray:
    return (at.people >= 100_000) & ~_starts(at.climate, "E", "Dfc")


def _stations(at: Surroundings) -> NDArray:
    return np.where(at.people >= 50_000, np.where(np.isin(at.country, RAILWAY_LANDS), 3.0, 1.0), 0.0)


def _harbours(at: Surroundings) -> NDArray:
    return (at.sea_km < 3) & (at.people > 0)


def _beaches(at: Surroundings) -> NDArray:
    mild = _starts(at.climate, "A", "B", "C", "Ocean") & (np.abs(at.latitude) < 52)
    return mild & (at.sea_km < 3) & (at.open_sea > 0.3)


def _lakes(at: Surroundings) -> NDArray:
    return (at.sea_km > 60) & ~_starts(at.climate, "B", "E")


def _snow(at: Surroundings) -> NDArray:
    # Heights are not known, but tundra and subarctic climates south of the polar circle are mostly mountains.
    # Dfb is snowy, too (Vermont, Quebec, Black Forest), but flat as often as not.
    cold = np.where(
        np.isin(at.climate, HIGH_OR_NORTHERN), 1.0, np.where(np.isin(at.climate, SNOWY), 0.15, 0.0)
    )
    return cold * (np.abs(at.latitude) < 66) * (at.people < 100_000)


def _wild(at: Surroundings) -> NDArray:
    return (at.people < 20_000) & (at.town_km > 4) & (at.sea_km > 2) & (at.country != "")


def _farms(at: Surroundings) -> NDArray:
    rural = (at.people < 60_000) & (at.town_km > 1.5) & (at.town_km < 20) & (at.sea_km > 1)
    return rural & ~_starts(at.climate, "E", "BW", "Ocean")


def _savannas(at: Surroundings) -> NDArray:
    dry = _starts(at.climate, "Aw", "As", "BS", "BW", "Cw")
    return dry & np.isin(at.country, GIRAFFE_LANDS) & (at.town_km > 8)


def _elephant_camps(at: Surroundings) -> NDArray:
    return np.isin(at.country, ELEPHANT_LANDS) & (at.town_km > 0.5)


KINDS: Mapping[str, Kind] = {
    "home": Kind(46, 0.7, _in_cities(100_000)),
    "eatery": Kind(38, 0.25, _in_cities(300_000)),
    "street": Kind(46, 0.4, _in_cities(300_000)),
    "oldtown": Kind(26, 0.3, _old_towns),
    "park": Kind(24, 0.4, _in_cities(300_000)),
    "zoo": Kind(16, 0.25, _in_cities(500_000)),
    "ballpark": Kind(14, 0.15, _ballparks),
    "pitch": Kind(8, 0.3, _in_cities(100_000)),
    "tennis": Kind(9, 0.2, _in_cities(300_000)),
    "skatepark": Kind(10, 0.15, _skateparks),
    "station": Kind(20, 0.3, _stations),
    "airport": Kind(10, 0.9, _in_cities(500_000)),
    "harbour": Kind(16, 0.4, _harbours),
    "beach": Kind(22, 0.7, _beaches),
    "lake": Kind(10, 0.8, _lakes),
    "snow": Kind(15, 1.0, _snow),
    "wild": Kind(16, 2.0, _wild),
    "farm": Kind(20, 1.5, _farms),
    "savanna": Kind(7, 5.0, _savannas),
    "elephant": Kind(5, 0.6, _elephant_camps),
}


def _pattern(words: str | list[str] | None) -> re.Pattern[str] | None:
    if words is None:
        return None
    return re.compile(rf"\b(?:{words if isinstance(words, str) else '|'.join(words)})\b")


def read_toml(name: str) -> dict:
    """A TOML file of this package."""
    return tomllib.loads(resources.files("training.locsens").joinpath(name).read_text(encoding="utf-8"))


def _read_rules() -> tuple[Rule, ...]:
    rules = []
    for row in read_toml("rules.toml")["rule"]:
        rules.append(Rule(**row | {"words": _pattern(row["words"]), "unless": _pattern(row.get("unless"))}))
        if unknown := set(row.get("kinds", ())) - set(KINDS):
            raise ValueError(f"rules.toml, {row['name']!r}: no kind of spot {', '.join(sorted(unknown))}")
    return tuple(rules)


RULES = _read_rules()


def spot_weights(
    rules: tuple[int, ...], kind: NDArray[np.str_], at: Surroundings, city: NDArray[np.str_]
) -> NDArray:
    """Weights of spots for photos that these rules match.

    Args:
        rules: indexes into `RULES`, rising.
        kind: of each spot.
        at: facts of each spot.
        city: name of each spot's city.

    Returns:
        [spots], at least one positive: a rule that would leave none is not used.
    """
    deciding = next((kinds for rule in rules if (kinds := RULES[rule].kinds)), ANYWHERE)
    share = np.zeros(len(kind))
    for name, weight in deciding.items():
        share[kind == name] = weight
    for rule in (RULES[rule] for rule in rules):
        factor = _factors(rule.countries, at.country) * _factors(rule.cities, city)
        by_climate = np.full(len(kind), rule.climates.get("*", 1.0))
        for letters, value in sorted(rule.climates.items(), key=lambda item: len(item[0])):
            by_climate[np.char.startswith(at.climate, letters)] = value
        factor = factor * by_climate
        if (share * factor).any():
            share = share * factor
    return share


def _factors(table: Mapping[str, float], values: NDArray[np.str_]) -> NDArray:
    factors = np.full(len(values), table.get("*", 1.0))
    for name, value in table.items():
        factors[values == name] = value
    return factors
