"""HTTP client of the gateway, for the commands that talk to a running system."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import httpx
import typer

from interplay.capabilities import index_capabilities
from interplay.errors import InternalError, InterplayError, Unavailable, error_from_reason

DEFAULT_URL = "http://127.0.0.1:8080"

# Options that every such command has.
Url = Annotated[str, typer.Option(envvar="INTERPLAY_URL", help="Where the gateway is.")]
ApiKey = Annotated[
    str | None,
    typer.Option(envvar="INTERPLAY_API_KEY", help="API key, if the gateway wants one.", show_default=False),
]


WhoseIndexes = Annotated[
    str, typer.Option(help=f"Whose indexes are meant: {', '.join(index_capabilities())}.")
]


class GatewayClient:
    """Requests to the gateway; errors come back as the exceptions that caused them.

    Args:
        url: Base URL.
        api_key: Sent as ``X-API-Key``.
        timeout_s: Longest wait for an answer.
    """

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = 60.0) -> None:
        self._url = url
        self._client = httpx.Client(
            base_url=url, timeout=timeout_s, headers={"X-API-Key": api_key} if api_key else {}
        )

    def __enter__(self) -> GatewayClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Send a request and return the answer.

        Args:
            method: HTTP method.
            path: Path below the base URL.
            arguments: Further arguments of ``httpx.Client.request``.

        Raises:
            Unavailable: The gateway cannot be reached.
            InterplayError: What the gateway answered.
        """
        with self._explained():
            response = self._client.request(method, path, **arguments)
        if response.is_error:
            raise error_from_response(response)
        return response

    @contextmanager
    def stream(self, method: str, path: str, **arguments: Any) -> Iterator[httpx.Response]:
        """As ``request``, with the body left to be read in pieces; reading raises the same errors."""
        with self._explained(), self._client.stream(method, path, **arguments) as response:
            if response.is_error:
                response.read()
                raise error_from_response(response)
            yield response

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException as error:
            raise Unavailable(f"{self._url} did not answer in time") from error
        except httpx.TransportError as error:
            raise Unavailable(f"cannot reach {self._url} ({error}); is `interplay up` running?") from error
        except httpx.InvalidURL as error:
            raise Unavailable(f"{self._url!r} is not a URL: {error}") from error


def error_from_response(response: httpx.Response) -> InterplayError:
    """The exception that an RFC 9457 answer stands for."""
    try:
        problem = response.json()
        fields = [entry["field"] for entry in problem.get("errors") or []]
        return error_from_reason(problem["reason"], problem["detail"], field=fields[0] if fields else None)
    except (ValueError, KeyError, TypeError, AttributeError):
        return InternalError(f"{response.url} answered {response.status_code}: {response.text[:200]}")
