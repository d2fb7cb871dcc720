"""Places in bodies and form fields; what is wrong with one is said as people get it wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from interplay.rpc.common.v1 import common_pb2

EXAMPLE_PLACE = {"latitude": 41.38, "longitude": 2.17}


class PlaceBody(BaseModel):
    """A place, WGS 84."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    latitude: float = Field(ge=-90, le=90, description="Degrees north.")
    longitude: float = Field(ge=-180, le=180, description="Degrees east.")

    @model_validator(mode="wrap")
    @classmethod
    def _explain(cls, value: Any, handler: ModelWrapValidatorHandler[PlaceBody]) -> PlaceBody:
        try:
            return handler(value)
        except ValidationError as error:
            if not _looks_swapped(value):
                raise
            question = "are latitude and longitude swapped? latitude must be between -90 and 90"
            fault = InitErrorDetails(
                type=PydanticCustomError("swapped", question), loc=("latitude",), input=value["latitude"]
            )
            raise ValidationError.from_exception_data(cls.__name__, [fault]) from error

    def to_proto(self) -> common_pb2.LatLng:
        """``interplay.common.v1.LatLng``."""
        return common_pb2.LatLng(latitude=self.latitude, longitude=self.longitude)

    @classmethod
    def from_proto(cls, proto: common_pb2.LatLng) -> PlaceBody:
        """From ``interplay.common.v1.LatLng``."""
        return cls.model_construct(latitude=proto.latitude, longitude=proto.longitude)


def place_from_text(value: object) -> object:
    """A place in a form field: ``41.38,2.17``, or the JSON object."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("{"):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("must be latitude,longitude or a JSON object") from None
    try:
        latitude, longitude = map(float, value.split(","))
    except ValueError:
        raise ValueError("must be latitude,longitude in degrees, e.g. 41.38,2.17") from None
    return {"latitude": latitude, "longitude": longitude}


# A place, also as text.
PlaceOrText = Annotated[PlaceBody, BeforeValidator(place_from_text, json_schema_input_type=PlaceBody | str)]


def _looks_swapped(value: Any) -> bool:
    """Whether a place would be one if its numbers changed places."""
    if not isinstance(value, Mapping):
        return False
    latitude, longitude = value.get("latitude"), value.get("longitude")
    return (
        isinstance(latitude, int | float)
        and isinstance(longitude, int | float)
        and 90 < abs(latitude) <= 180
        and abs(longitude) <= 90
    )
