"""Fetch an image by URL without becoming a way into the private network.

Off unless an allow-list is configured. Then, for the first URL and for every redirect: the scheme,
host and port must be on the list; the name is resolved once, every address must be global, and
the connection goes to the very address that was checked, so that a second, different DNS answer
(rebinding) is never asked for. Bytes are counted while they arrive, time is limited in total, and
neither proxies, cookies nor credentials of the environment are used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

import httpx

from interplay.errors import (
    DeadlineExceeded,
    InterplayError,
    InvalidParameter,
    PayloadTooLarge,
    PermissionDenied,
)
from interplay.telemetry.metrics import FETCHED_BYTES, FETCHES

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolver = Callable[[str, int], Awaitable[list[str]]]

FIELD = "image.uri"
MAX_REDIRECTS = 3
_DEFAULT_PORTS = {"https": 443, "http": 80}
_HOST = re.compile(r"^[a-z0-9._:-]+$")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})

# IPv6 ranges that carry an IPv4 address inside: a way around a check of the outer address.
_EMBEDDING_NETWORKS = tuple(
    ipaddress.IPv6Network(network)
    for network in ("::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10")
)


def is_global_address(address: Address) -> bool:
    """Whether an address belongs to the public Internet and to nothing else.

    Refused are private, loopback, link-local (cloud metadata), shared (CGNAT), multicast,
    reserved and unspecified addresses, IPv4-mapped forms of them, and all IPv6 ranges that
    translate to IPv4 (NAT64, 6to4, Teredo, IPv4-compatible).
    """
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_global_address(address.ipv4_mapped)
        if any(address in network for network in _EMBEDDING_NETWORKS):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def resolve(host: str, port: int) -> list[str]:
    """Addresses of a host by the system's resolver, as text."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


@dataclass(frozen=True)
class AllowList:
    """Places from which images may be fetched.

    Attributes:
        entries: Scheme, host and port; a host ``*.example.com`` stands for all its subdomains.
    """

    entries: frozenset[tuple[str, str, int]]

    @classmethod
    def parse(cls, items: Iterable[str]) -> AllowList:
        """Read entries written ``[http://|https://]host[:port]``; without a scheme, https.

        Raises:
            ValueError: An entry cannot be understood.
        """
        entries = set()
        for item in items:
            scheme, separator, rest = item.rpartition("://")
            scheme = scheme.lower() if separator else "https"
            wildcard, rest = ("*.", rest[2:]) if rest.startswith("*.") else ("", rest)
            try:
                url = httpx.URL(f"{scheme}://{rest}")
            except httpx.InvalidURL as error:
                raise ValueError(f"{item!r} is not [http://]host[:port]: {error}") from error
            host = _plain_host(url)
            if (
                scheme not in _DEFAULT_PORTS
                or url.userinfo
                or url.path not in ("", "/")
                or not _HOST.match(host)
            ):
                raise ValueError(f"{item!r} is not [http://]host[:port]")
            entries.add((scheme, wildcard + host, url.port or _DEFAULT_PORTS[scheme]))
        return cls(frozenset(entries))

    def allows(self, scheme: str, host: str, port: int) -> bool:
        """Whether a URL of this scheme, host and port may be fetched."""
        names = [host]
        labels = host.split(".")
        names += ["*." + ".".join(labels[i:]) for i in range(1, len(labels))]
        return any((scheme, name, port) in self.entries for name in names)


def _plain_host(url: httpx.URL) -> str:
    """Host in lower-case ASCII without a trailing dot."""
    return url.raw_host.decode("ascii").lower().rstrip(".")


class ImageFetcher:
    """Fetches images from allowed hosts.

    Args:
        allowlist: Where from; empty refuses everything.
        max_bytes: Largest file.
        timeout_s: Total time of one fetch, with redirects.
        resolver: Name resolution; replaced in tests.
        address_allowed: Check of every resolved address; replaced in tests, which have only loopback.
        tls: TLS context; the system's authorities by default.
    """

    def __init__(
        self,
        allowlist: AllowList,
        *,
        max_bytes: int,
        timeout_s: float,
        resolver: Resolver = resolve,
        address_allowed: Callable[[Address], bool] = is_global_address,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._allowlist = allowlist
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._resolver = resolver
        self._address_allowed = address_allowed
        self._tls = tls

    async def fetch(self, uri: str) -> bytes:
        """Get the bytes behind a URL; what they are is for the caller to find out.

        Raises:
            PermissionDenied: URLs are not configured, or this one leads where it may not.
            InvalidParameter: Not a URL, or its server does not deliver.
            PayloadTooLarge: More than ``max_bytes``.
            DeadlineExceeded: Took more than ``timeout_s``.
        """
        if not self._allowlist.entries:
            FETCHES.labels("refused").inc()
            raise PermissionDenied(
                "images by URL are not enabled on this installation; send the file or its base64", field=FIELD
            )
        try:
            async with asyncio.timeout(self._timeout_s):
                content = await self._follow(uri)
        except TimeoutError:
            FETCHES.labels("timeout").inc()
            raise DeadlineExceeded(
                f"image.uri was not fetched within {self._timeout_s:g} s", field=FIELD
            ) from None
        except httpx.HTTPError as error:
            FETCHES.labels("failed").inc()
            raise InvalidParameter(
                f"image.uri could not be fetched: {type(error).__name__}", field=FIELD
            ) from error
        except InterplayError as error:
            FETCHES.labels("refused" if isinstance(error, PermissionDenied) else "failed").inc()
            raise
        FETCHES.labels("ok").inc()
        FETCHED_BYTES.inc(len(content))
        return content

    async def _follow(self, uri: str) -> bytes:
        url = _parse_url(uri)
        async with httpx.AsyncClient(
            trust_env=False, follow_redirects=False, timeout=self._timeout_s, verify=self._tls or True
        ) as client:
            for _ in range(MAX_REDIRECTS + 1):
                pinned = await self._pin(url)
                request = client.build_request(
                    "GET",
                    pinned,
                    headers={
                        "Host": url.netloc.decode("ascii"),
                        "Accept": "image/*",
                        "Accept-Encoding": "identity",
                    },
                    extensions={"sni_hostname": _plain_host(url)},
                )
                response = await client.send(request, stream=True)
                try:
                    if response.status_code not in _REDIRECTS:
                        return await self._read(response)
                    url = _parse_url(response.headers.get("location", ""), base=url)
                finally:
                    await response.aclose()
                client.cookies.clear()
        raise InvalidParameter(f"image.uri redirects more than {MAX_REDIRECTS} times", field=FIELD)

    async def _pin(self, url: httpx.URL) -> httpx.URL:
        """The same URL with the host replaced by an address that was checked."""
        host, port = _plain_host(url), url.port or _DEFAULT_PORTS[url.scheme]
        if not self._allowlist.allows(url.scheme, host, port):
            raise PermissionDenied(
                f"{url.scheme}://{host}:{port} is not on the list of allowed image hosts", field=FIELD
            )
        try:
            addresses = [ipaddress.ip_address(text) for text in await self._resolver(host, port)]
        except (OSError, ValueError) as error:
            raise InvalidParameter(f"the host {host} of image.uri cannot be resolved", field=FIELD) from error
        # One bad address among good ones is enough: which one is used must not be left to chance.
        if not addresses or not all(self._address_allowed(address) for address in addresses):
            raise PermissionDenied(f"the host {host} of image.uri is not on the public Internet", field=FIELD)
        return url.copy_with(host=str(addresses[0]), fragment=None)

    async def _read(self, response: httpx.Response) -> bytes:
        if response.status_code != 200:
            raise InvalidParameter(f"the server of image.uri answered {response.status_code}", field=FIELD)
        declared = response.headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_bytes:
            raise self._too_large(f"{int(declared):,}")
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) > self._max_bytes:
                raise self._too_large(f"more than {self._max_bytes:,}")
        return bytes(content)

    def _too_large(self, seen: str) -> PayloadTooLarge:
        return PayloadTooLarge(
            f"the image at image.uri has {seen} bytes; the limit is {self._max_bytes:,}", field=FIELD
        )


def _parse_url(text: str, base: httpx.URL | None = None) -> httpx.URL:
    try:
        url = base.join(text) if base else httpx.URL(text)
    except (httpx.InvalidURL, TypeError, ValueError) as error:
        raise InvalidParameter("image.uri is not a valid URL", field=FIELD) from error
    if url.scheme not in _DEFAULT_PORTS or not url.host:
        raise InvalidParameter("image.uri must be an absolute https URL", field=FIELD)
    if url.userinfo:
        raise InvalidParameter("image.uri must not hold a user name or password", field=FIELD)
    return url
