"""One image and its options out of a request: multipart form, or JSON with base64 or a URL.

The image is probed (kind by content, size by header) and handed on as it came: the gateway never
decodes or re-encodes what it only forwards.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, overload

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from gateway.deps import AppState
from gateway.schemas.common import ImageSource, Options
from gateway.settings import FORM_OVERHEAD_BYTES
from interplay.errors import InvalidInput, InvalidParameter, UnsupportedMedia
from interplay.media.images import ImageLimits, probe

O = TypeVar("O", bound=Options)  # noqa: E741
B = TypeVar("B", bound=BaseModel)

IMAGE_FIELD = "image"
_MAX_FORM_FIELDS = 32


@overload
async def receive_image(
    request: Request, state: AppState, capability: str, options_type: type[O]
) -> tuple[bytes, O]: ...
@overload
async def receive_image(
    request: Request, state: AppState, capability: str, options_type: type[O], *, required: Literal[False]
) -> tuple[bytes | None, O]: ...
async def receive_image(
    request: Request, state: AppState, capability: str, options_type: type[O], *, required: bool = True
) -> tuple[bytes | None, O]:
    """Receive and check the image and the options of a request.

    Args:
        request: Request whose body has not been read.
        state: The process's state.
        capability: Name of the capability that the image is for; its cap refuses before reading.
        options_type: Model of the option fields.
        required: Whether there must be an image.

    Returns:
        File content, None where no image is there nor required, and options.

    Raises:
        Unavailable: The capability is not part of this installation; nothing was read.
        Overloaded: Too much is going on; nothing was read.
        UnsupportedMedia: Neither kind of body, or not an accepted kind of image.
        InvalidInput, InvalidParameter, PayloadTooLarge, UnreadableImage, PermissionDenied: As the
            content deserves.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    state.client(capability)  # neither a missing capability
    state.admission.check(capability)  # nor a busy one is worth reading the body
    if media_type == "multipart/form-data":
        content, options = await _from_form(request, state, options_type, required)
    elif media_type == "application/json":
        content, options = await _from_json(request, state, options_type, required)
    else:
        raise UnsupportedMedia(
            f"Content-Type {media_type[:80]!r} is not accepted; send multipart/form-data with the file in "
            f"the field {IMAGE_FIELD!r}, or application/json",
            field="Content-Type",
        )
    if content is not None:
        settings = state.settings
        probe(content, ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels))
    return content, options


class _FormParser(MultiPartParser):
    """Starlette's parser, which by itself takes a form that was cut short for a shorter one."""

    complete = False

    def on_end(self) -> None:
        self.complete = True


async def _from_form(
    request: Request, state: AppState, options_type: type[O], required: bool
) -> tuple[bytes | None, O]:
    parser = _FormParser(
        request.headers,
        request.stream(),
        max_files=1,
        max_fields=_MAX_FORM_FIELDS,
        max_part_size=FORM_OVERHEAD_BYTES,
    )
    # The body is already limited, so a part never goes to disk, nor through the thread pool.
    parser.spool_max_size = state.settings.max_form_bytes + 1
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise InvalidInput(f"the form cannot be read: {error.message}", field="body") from error
    try:
        if not parser.complete:
            raise InvalidInput("the form cannot be read: its closing boundary is missing", field="body")
        fields: dict[str, Any] = {}
        for name, value in form.multi_items():
            if name in fields:
                raise InvalidParameter(f"the field {name[:80]!r} is there more than once", field=name[:80])
            fields[name] = value
        upload = fields.pop(IMAGE_FIELD, None)
        if upload is None and not required:
            return None, _parse_options(options_type, fields, strict=False)
        if upload is None:
            stray = next((name for name, value in fields.items() if isinstance(value, UploadFile)), None)
            hint = f"; a file came in the field {stray[:80]!r}" if stray else ""
            raise InvalidParameter(f"there is no file in the field {IMAGE_FIELD!r}{hint}", field=IMAGE_FIELD)
        if not isinstance(upload, UploadFile):
            raise InvalidParameter(
                f"the field {IMAGE_FIELD!r} is text; send the file itself: curl -F image=@photo.jpg",
                field=IMAGE_FIELD,
            )
        options = _parse_options(options_type, fields, strict=False)
        return await upload.read(), options
    finally:
        await form.close()


async def _from_json(
    request: Request, state: AppState, options_type: type[O], required: bool
) -> tuple[bytes | None, O]:
    fields = parse_json_object(await request.body())
    source = fields.pop(IMAGE_FIELD, None)
    if source is None and not required:
        return None, _parse_options(options_type, fields, strict=True)
    if not isinstance(source, dict):
        raise InvalidParameter(
            f'{IMAGE_FIELD} must be {{"content": "<base64>"}} or {{"uri": "https://…"}}', field=IMAGE_FIELD
        )
    options = _parse_options(options_type, fields, strict=True)
    _refuse_unknown(source, ImageSource.model_fields, prefix=f"{IMAGE_FIELD}.")
    given = [name for name in ("content", "uri") if source.get(name) is not None]
    if len(given) != 1 or not isinstance(source[given[0]], str):
        raise InvalidParameter(
            f"{IMAGE_FIELD} needs exactly one of content and uri, a string", field=IMAGE_FIELD
        )
    if given[0] == "uri":
        return await state.fetcher.fetch(source["uri"]), options
    return _decode_base64(source["content"], IMAGE_FIELD), options


async def parse_body(request: Request, state: AppState, capability: str, body_type: type[B]) -> B:
    """Receive and check a JSON body of its own shape, which may hold images.

    Args:
        request: Request whose body has not been read.
        state: The process's state.
        capability: Whose server is asked then; its cap refuses before reading.
        body_type: Model of the body.

    Raises:
        Unavailable, Overloaded: As for ``receive_image``.
        UnsupportedMedia: Not JSON.
        InvalidInput: Not a JSON object.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    state.client(capability)
    state.admission.check(capability)
    if media_type != "application/json":
        raise UnsupportedMedia(
            f"Content-Type {media_type[:80]!r} is not accepted; send application/json", field="Content-Type"
        )
    fields = parse_json_object(await request.body())
    try:
        # JSON has no dates, so a strict reading of Python values would refuse those that are written right.
        return body_type.model_validate(fields)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error


async def image_content(state: AppState, source: ImageSource, field: str) -> bytes:
    """The file of an image in a JSON body.

    Raises:
        InvalidParameter: Neither or both of content and uri, or no base64.
        PermissionDenied, Unavailable, PayloadTooLarge: As fetching deserves.
    """
    if bool(source.content) == bool(source.uri):
        raise InvalidParameter(f"{field} needs exactly one of content and uri", field=field)
    if source.uri:
        return await state.fetcher.fetch(source.uri)
    return _decode_base64(source.content, field)


async def image_contents(state: AppState, sources: list[ImageSource]) -> list[bytes]:
    """The files of images, in order; those by URL are fetched at the same time."""
    fields = [f"images[{number}]" for number in range(len(sources))]
    return list(
        await asyncio.gather(
            *(image_content(state, source, field) for source, field in zip(sources, fields, strict=True))
        )
    )


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Parse a JSON object strictly.

    Raises:
        InvalidInput: Empty, not JSON, nested too deeply, or not an object.
    """
    if not body:
        raise InvalidInput("the body is empty; send a JSON object", field="body")
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInput("the body is nested too deeply", field="body") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, integers of thousands of digits
        raise InvalidInput(f"the body is not valid JSON: {str(error)[:120]}", field="body") from None
    if not isinstance(parsed, dict):
        raise InvalidInput(f"the body must be a JSON object, not {type(parsed).__name__}", field="body")
    return parsed


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _decode_base64(text: str, field: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidParameter(
            f"{field}.content is not base64 (standard alphabet, padded, no data: prefix): {str(error)[:80]}",
            field=f"{field}.content",
        ) from None


def _parse_options(options_type: type[O], fields: Mapping[str, Any], *, strict: bool) -> O:
    _refuse_unknown(fields, options_type.model_fields, also=(IMAGE_FIELD,))
    try:
        return options_type.model_validate(fields, strict=strict)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error


def _refuse_unknown(
    fields: Mapping[str, Any], known: Mapping[str, Any], *, prefix: str = "", also: tuple[str, ...] = ()
) -> None:
    for name in fields:
        if name not in known:
            shown = f"{prefix}{name[:80]}"
            raise InvalidParameter(
                f"unknown field {shown!r}; known: {', '.join((*also, *known))}", field=shown
            )
