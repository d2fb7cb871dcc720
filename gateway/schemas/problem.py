"""The body of every error: RFC 9457 ``application/problem+json``."""

from __future__ import annotations

from pydantic import BaseModel, Field

PROBLEM_MEDIA_TYPE = "application/problem+json"


class FieldError(BaseModel):
    """What is wrong with one field."""

    field: str = Field(description="Dotted path of the field.")
    message: str = Field(description="What is wrong, with the limit and the value.")


class Problem(BaseModel):
    """RFC 9457 problem."""

    type: str = Field(
        description="`urn:interplay:problem:` and the reason in lower case with dashes; stable."
    )
    title: str = Field(description="What kind of error this is, for people; the same for one type.")
    status: int = Field(description="HTTP status.")
    detail: str = Field(description="What happened to this request; names the limit and the value.")
    reason: str = Field(description="Upper-case constant for programs; stable.")
    request_id: str = Field(description="As in the header X-Request-Id; quote it when you report a fault.")
    errors: list[FieldError] | None = Field(default=None, description="The fields at fault, if any are.")
