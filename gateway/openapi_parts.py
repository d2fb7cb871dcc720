"""Parts of the OpenAPI description that FastAPI cannot derive: problems, image bodies, examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from gateway.negotiation import JSON
from gateway.problems import problem_content
from gateway.schemas.common import Exemplified, ImageSource, Options
from gateway.schemas.open_inference import OpenError
from gateway.schemas.problem import PROBLEM_MEDIA_TYPE
from interplay.errors import (
    ROW_BY_TYPE,
    Conflict,
    DeadlineExceeded,
    Expired,
    IdempotencyMismatch,
    InternalError,
    InterplayError,
    InvalidInput,
    InvalidParameter,
    MethodNotAllowed,
    ModelFailed,
    NoRoom,
    NotAcceptable,
    NotFound,
    Overloaded,
    PayloadTooLarge,
    PermissionDenied,
    RateLimited,
    Unauthenticated,
    Unavailable,
    UnreadableImage,
    UnsupportedMedia,
    UploadTimeout,
)

_EXAMPLE_IMAGE = {"image": {"content": "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAA=="}}
_EXAMPLE_REQUEST_ID = "4bf92f3577b34da6a3ce929d0e0e4736"

# One error of every kind that HTTP callers can meet, as it is shown in the description.
_EXAMPLE_ERRORS: dict[type[InterplayError], InterplayError] = {
    type(error): error
    for error in (
        InvalidInput("the body is not valid JSON: Expecting value: line 1 column 1 (char 0)", field="body"),
        InvalidParameter(
            "max_regions: Input should be less than or equal to 2000, got 5000", field="max_regions"
        ),
        PayloadTooLarge("the image has 31,457,280 bytes; the limit is 20,971,520", field="image"),
        UnsupportedMedia("the content is a GIF; accepted are JPEG, PNG and WebP", field="image"),
        UnreadableImage("the JPEG data is truncated or corrupt and cannot be decoded", field="image"),
        MethodNotAllowed("GET /v1/text:read is not offered; the path takes POST"),
        NotAcceptable(
            "Accept 'text/html' leaves nothing to answer with; offered: application/json, image/png"
        ),
        UploadTimeout("the body did not arrive within 60 s; 65,536 bytes came"),
        Unauthenticated("no API key; send it as X-API-Key or as Authorization: Bearer"),
        PermissionDenied("this API key does not have the scope 'infer'"),
        NotFound("there is no GET /v1/nothing; /openapi.json lists the paths"),
        Expired("the result was removed after its time limit"),
        Conflict("the job is still running"),
        IdempotencyMismatch("this Idempotency-Key was used with another request", field="Idempotency-Key"),
        Overloaded("128 requests to text_detection are in progress; the limit is 128"),
        RateLimited("more than 100 requests a second (burst 200) from this caller"),
        Unavailable("the model server cannot be reached"),
        DeadlineExceeded("not done before the deadline"),
        InternalError("the gateway failed on this request; the fault is logged"),
        ModelFailed("the model failed on this image"),
        NoRoom("a snapshot of 'photos' needs about 73,281,536 bytes; the server's disk has 1,048,576 free"),
    )
}

# What a call to a model server can end with, and one with images.
UPSTREAM_ERRORS = (Overloaded, Unavailable, DeadlineExceeded)
IMAGE_ERRORS = (
    InvalidInput,
    InvalidParameter,
    PayloadTooLarge,
    UnsupportedMedia,
    UnreadableImage,
    UploadTimeout,
    ModelFailed,
    *UPSTREAM_ERRORS,
)
_HEADERS_OF_STATUS = {429: ("Retry-After",), 503: ("Retry-After",), 401: ("WWW-Authenticate",)}


def problem_responses(
    *errors: type[InterplayError], authenticated: bool = True
) -> dict[int | str, dict[str, Any]]:
    """Declare an operation's errors, each with an example.

    Args:
        errors: Types that the operation can answer with, beside those that any can.
        authenticated: Whether the operation asks for a key and counts against the rate limit.

    Returns:
        For ``responses=`` of a route.
    """
    common = (
        (Unauthenticated, PermissionDenied, RateLimited, InternalError) if authenticated else (InternalError,)
    )
    by_status: dict[int | str, dict[str, Any]] = {}
    for error_type in (*errors, *common):
        row = ROW_BY_TYPE[error_type]
        content = problem_content(_EXAMPLE_ERRORS[error_type]) | {"request_id": _EXAMPLE_REQUEST_ID}
        response = by_status.setdefault(
            row.http_status,
            {
                "description": row.title,
                "content": {
                    PROBLEM_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}
                },
            },
        )
        response["content"][PROBLEM_MEDIA_TYPE]["examples"][row.reason] = {
            "summary": row.title,
            "value": content,
        }
        for header in _HEADERS_OF_STATUS.get(row.http_status, ()):
            response.setdefault("headers", {})[header] = {"schema": {"type": "string"}}
    return dict(sorted(by_status.items(), key=lambda item: str(item[0])))


def open_error_responses(
    *errors: type[InterplayError], authenticated: bool = True
) -> dict[int | str, dict[str, Any]]:
    """As ``problem_responses``, for operations whose errors have the Open Inference Protocol's form."""
    declared = problem_responses(*errors, authenticated=authenticated)
    for response in declared.values():
        examples = response["content"].pop(PROBLEM_MEDIA_TYPE)["examples"]
        for example in examples.values():
            example["value"] = {"error": example["value"]["detail"]}
        schema = {"$ref": f"#/components/schemas/{OpenError.__name__}"}
        response["content"][JSON] = {"schema": schema, "examples": examples}
    return declared


def json_operation(
    answer: type[Exemplified] | None,
    *errors: type[InterplayError],
    body: type[BaseModel] | None = None,
    also: Sequence[str] = (),
) -> dict[str, Any]:
    """Keyword arguments of a route with a JSON body that is read by ``parse_body``.

    Args:
        answer: Model of the JSON answer.
        errors: What it can answer with beside what all routes can.
        body: Model of the body; None for none.
        also: Further media types of the answer.
    """
    described: dict[str, Any] = {"responses": problem_responses(*errors, *[NotAcceptable] * bool(also))}
    if answer is not None:
        described["response_model"] = answer
        if answer.EXAMPLE:
            described["responses"] = {200: {"content": {JSON: {"example": answer.EXAMPLE}}}} | described[
                "responses"
            ]
            for media_type in also:
                described["responses"][200]["content"][media_type] = _content(media_type)
    if body is not None:
        content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{body.__name__}"}}
        if issubclass(body, Exemplified):
            content["example"] = body.EXAMPLE
        described["openapi_extra"] = {"requestBody": {"required": True, "content": {JSON: content}}}
    return described


def image_operation(
    options_type: type[Options],
    answer_type: type[Exemplified],
    answers: Sequence[str],
    *errors: type[InterplayError],
    image_required: bool = True,
) -> dict[str, Any]:
    """Keyword arguments of a route that takes an image: request body, answers and errors.

    Args:
        options_type: Model of the option fields.
        answer_type: Model of the JSON answer.
        answers: Media types of the answer, the default first.
        errors: What it can answer with beside what all such routes can.
        image_required: Whether there is no request without an image.
    """
    content: dict[str, Any] = {}
    if JSON in answers:
        content[JSON] = {"example": answer_type.EXAMPLE}
    for media_type in answers:
        if media_type != JSON:
            content[media_type] = _content(media_type)
    headers = {
        "Server-Timing": {
            "description": "Milliseconds by stage: queue, decode, preprocess, infer, postprocess, total.",
            "schema": {"type": "string"},
        },
        "X-Request-Id": {"description": "The caller's id, or a new one.", "schema": {"type": "string"}},
    }
    return {
        "response_model": answer_type,
        "responses": {
            200: {"description": f"Default: {answers[0]}", "content": content, "headers": headers},
            **problem_responses(*IMAGE_ERRORS, NotAcceptable, *errors),
        },
        "openapi_extra": {"requestBody": _image_body(options_type, image_required)},
    }


def _content(media_type: str) -> dict[str, Any]:
    return {"schema": {"type": "string", "contentMediaType": media_type}}


def _image_body(options_type: type[Options], image_required: bool) -> dict[str, Any]:
    schema = options_type.model_json_schema(ref_template="#/components/schemas/{model}")
    properties = schema["properties"]
    required = ["image"] * image_required + schema.get("required", [])
    file = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}
    file["description"] = "JPEG, PNG or WebP file; its kind is found from its content."

    def body(image: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {"image": image, **properties},
            "required": required,
            "additionalProperties": False,
        }

    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": body(file)},
            JSON: {
                "schema": body({"$ref": f"#/components/schemas/{ImageSource.__name__}"}),
                "example": {**(_EXAMPLE_IMAGE if image_required else {}), **options_type.EXAMPLE},
            },
        },
    }
