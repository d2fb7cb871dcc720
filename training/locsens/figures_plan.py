"""What the figures of LocSens ask: tags, places and how photos are drawn; see `figures.toml`."""

import tomllib
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Number = Annotated[str, Field(pattern=r"^\d+\.\d+$")]
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(_Part):
    """The best photo for each of two tags at places: figures 5.2 and 5.3."""

    tags: Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]
    places: Annotated[tuple[str, ...], Field(min_length=2, max_length=12)]


class TagAtPlaces(_Part):
    """A tag, and places by their names."""

    tag: str
    places: Annotated[tuple[str, ...], Field(min_length=1, max_length=3)]


class Rows(_Part):
    """The best photos for tags at places: figures 5.5 and 5.6."""

    figure: Number
    title: str
    queries: Annotated[tuple[TagAtPlaces, ...], Field(min_length=1, max_length=6)]


class Alone(_Part):
    """Photos to be tagged without and with their places: figure 5.7."""

    photos: Annotated[int, Field(ge=1, le=12)]
    least_tags: Annotated[int, Field(ge=1)]
    words: Names


class Faked(_Part):
    """Photos with a tag, to be tagged at other places: figures 5.8 and 5.9."""

    figure: Number
    queries: Annotated[tuple[TagAtPlaces, ...], Field(min_length=1, max_length=6)]


class Plan(_Part):
    """All that is asked; places are country, latitude and longitude by name."""

    places: dict[str, tuple[str, Latitude, Longitude]]
    spread: Spread
    rows: tuple[Rows, ...]
    alone: Alone
    faked: tuple[Faked, ...]

    @model_validator(mode="after")
    def _places_are_known(self) -> "Plan":
        queries = [query for rows in self.rows for query in rows.queries]
        queries += [query for faked in self.faked for query in faked.queries]
        named = {*self.spread.places, *(name for query in queries for name in query.places)}
        if unknown := sorted(named - set(self.places)):
            raise ValueError(f"no such place: {', '.join(unknown)}")
        return self


def read_plan(file: Path | None = None, tags: tuple[str, ...] | None = None) -> Plan:
    """Reads a plan.

    Args:
        file: TOML; that of this package if None.
        tags: of figures 5.2 and 5.3, instead of the plan's.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not TOML, or not a plan; the message names what is wrong.
    """
    name = str(file or "figures.toml")
    source = file or resources.files("training.locsens").joinpath("figures.toml")
    try:
        read = tomllib.loads(source.read_text(encoding="utf-8"))
        if tags is not None:
            read["spread"]["tags"] = tags
        return Plan.model_validate(read)
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ValueError(f"{name} is not a plan: {error}") from error
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(map(str, wrong["loc"]))
        raise ValueError(f"{name} is not a plan: {where or 'places'}: {wrong['msg']}") from error
