"""Fetching by URL against a real local server, with the resolver and the address check replaced."""

from __future__ import annotations

import ipaddress
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from interplay.errors import DeadlineExceeded, InvalidParameter, PayloadTooLarge, PermissionDenied
from interplay.media.fetch import Address, AllowList, ImageFetcher, is_global_address, resolve

IMAGE = b"\xff\xd8\xff" + b"pixels" * 100


class Handler(BaseHTTPRequestHandler):
    """Paths that behave well and badly; what came in is kept on the server."""

    def do_GET(self) -> None:
        server: Any = self.server
        server.seen.append((self.path, dict(self.headers)))
        path, _, argument = self.path.partition("?")
        if path == "/image":
            self.reply(200, IMAGE, {"Set-Cookie": "session=1"})
        elif path == "/redirect":
            self.reply(302, b"", {"Location": argument, "Set-Cookie": "session=1"})
        elif path == "/loop":
            self.reply(302, b"", {"Location": "/loop"})
        elif path == "/missing":
            self.reply(404, b"no")
        elif path == "/declares":
            self.reply(200, b"", {"Content-Length": "999999999"})
        elif path == "/endless":
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b"x" * 65536)
            except OSError:
                pass
        elif path == "/gzip":
            self.reply(200, b"\x1f\x8b compressed", {"Content-Encoding": "gzip"})
        elif path == "/slow":
            time.sleep(float(argument))
            self.reply(200, IMAGE)

    def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        headers = {"Content-Length": str(len(content)), **(headers or {})}
        try:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)
        except OSError:  # the fetcher has had enough
            pass

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class LocalServer(ThreadingHTTPServer):
    """A server on the loopback that remembers its requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.port = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


@pytest.fixture
def server() -> Iterator[LocalServer]:
    running = LocalServer()
    yield running
    running.shutdown()
    running.server_close()


class Resolver:
    """Answers with canned addresses and counts the questions."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "."): addresses for name, addresses in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        if host not in self.answers:
            raise OSError("no such host")
        return self.answers[host]


def only_loopback(address: Address) -> bool:
    return address == ipaddress.ip_address("127.0.0.1")


def fetcher_for(server: LocalServer, **options: Any) -> ImageFetcher:
    """May reach http://img.test:PORT and http://other.test:PORT, both of which are the local server."""
    settings: dict[str, Any] = {
        "max_bytes": 100_000,
        "timeout_s": 10,
        "resolver": Resolver(img_test=["127.0.0.1"], other_test=["127.0.0.1"], evil_test=["127.0.0.1"]),
        "address_allowed": only_loopback,
    }
    hosts = (f"http://img.test:{server.port}", f"http://other.test:{server.port}")
    return ImageFetcher(AllowList.parse(hosts), **(settings | options))


async def test_the_image_comes_from_the_pinned_address_under_its_own_name(server: LocalServer) -> None:
    resolver = Resolver(img_test=["127.0.0.1"])
    content = await fetcher_for(server, resolver=resolver).fetch(
        f"http://img.test:{server.port}/image?size=1#part"
    )
    assert content == IMAGE
    ((path, headers),) = server.seen
    assert path == "/image?size=1"
    assert headers["Host"] == f"img.test:{server.port}"
    assert headers["Accept-Encoding"] == "identity"
    assert "Cookie" not in headers and "Authorization" not in headers
    assert resolver.asked == ["img.test"]


async def test_a_redirect_is_followed_and_checked_anew(server: LocalServer) -> None:
    resolver = Resolver(img_test=["127.0.0.1"], other_test=["127.0.0.1"])
    target = f"http://other.test:{server.port}/image"
    content = await fetcher_for(server, resolver=resolver).fetch(
        f"http://img.test:{server.port}/redirect?{target}"
    )
    assert content == IMAGE
    assert resolver.asked == ["img.test", "other.test"]
    assert "Cookie" not in server.seen[1][1]


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("http://evil.test:{port}/image", PermissionDenied),
        ("http://127.0.0.1:{port}/image", PermissionDenied),
        ("http://img.test:1/image", PermissionDenied),
        ("https://img.test:{port}/image", PermissionDenied),
        ("http://user:pass@img.test:{port}/image", InvalidParameter),
        ("file:///etc/passwd", InvalidParameter),
        ("gopher://img.test:{port}/", InvalidParameter),
    ],
)
async def test_a_redirect_leads_nowhere_else(
    server: LocalServer, target: str, error: type[Exception]
) -> None:
    target = target.format(port=server.port)
    with pytest.raises(error):
        await fetcher_for(server).fetch(f"http://img.test:{server.port}/redirect?{target}")
    assert len(server.seen) == 1


async def test_a_redirect_to_a_name_that_turned_private_is_refused(server: LocalServer) -> None:
    resolver = Resolver(img_test=["127.0.0.1"], other_test=["169.254.169.254"])
    target = f"http://other.test:{server.port}/image"
    with pytest.raises(PermissionDenied, match="public Internet"):
        await fetcher_for(server, resolver=resolver).fetch(f"http://img.test:{server.port}/redirect?{target}")


async def test_redirects_end(server: LocalServer) -> None:
    with pytest.raises(InvalidParameter, match="redirects more than 3 times"):
        await fetcher_for(server).fetch(f"http://img.test:{server.port}/loop")
    assert len(server.seen) == 4


async def test_one_private_address_among_good_ones_is_enough_to_refuse(server: LocalServer) -> None:
    resolver = Resolver(img_test=["127.0.0.1", "10.0.0.1"])
    with pytest.raises(PermissionDenied, match="public Internet"):
        await fetcher_for(server, resolver=resolver).fetch(f"http://img.test:{server.port}/image")
    assert server.seen == []


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:{port}/image",
        "http://2130706433:{port}/image",
        "http://0x7f000001:{port}/image",
        "http://0177.0.0.1:{port}/image",
        "http://127.1:{port}/image",
        "http://[::1]:{port}/image",
        "http://[::ffff:127.0.0.1]:{port}/image",
        "http://localhost:{port}/image",
        "http://img.test.evil.test:{port}/image",
        "http://img.test@evil.test:{port}/image",
        "http://img.test:{port}@evil.test/image",
        "http://img.test/image",
        "https://img.test/image",
    ],
)
async def test_what_is_not_listed_is_refused_without_a_question(server: LocalServer, uri: str) -> None:
    resolver = Resolver(img_test=["127.0.0.1"])
    with pytest.raises((PermissionDenied, InvalidParameter)):
        await fetcher_for(server, resolver=resolver).fetch(uri.format(port=server.port))
    assert server.seen == []
    assert resolver.asked == []


@pytest.mark.parametrize("literal", ["2130706433", "0x7f000001", "127.1", "127.0.0.1", "localhost"])
async def test_even_listed_forms_of_loopback_are_refused_by_the_real_check(
    server: LocalServer, literal: str
) -> None:
    fetcher = ImageFetcher(AllowList.parse([f"http://{literal}:{server.port}"]), max_bytes=1000, timeout_s=5)
    with pytest.raises((PermissionDenied, InvalidParameter)):
        await fetcher.fetch(f"http://{literal}:{server.port}/image")
    assert server.seen == []


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "image",
        "/image",
        "http://",
        "http:///image",
        "//img.test/image",
        "data:image/png;base64,AA",
        "http://[::1",
    ],
)
async def test_what_is_no_url_is_refused(server: LocalServer, uri: str) -> None:
    with pytest.raises(InvalidParameter):
        await fetcher_for(server).fetch(uri)


async def test_nothing_is_fetched_without_a_list() -> None:
    with pytest.raises(PermissionDenied, match="not enabled"):
        await ImageFetcher(AllowList.parse(()), max_bytes=10, timeout_s=1).fetch("https://example.com/a.jpg")


@pytest.mark.parametrize("path", ["/endless", "/declares"])
async def test_too_many_bytes_are_not_read(server: LocalServer, path: str) -> None:
    with pytest.raises(PayloadTooLarge, match="the limit is 100,000"):
        await fetcher_for(server).fetch(f"http://img.test:{server.port}{path}")


async def test_time_is_limited_in_total(server: LocalServer) -> None:
    with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
        await fetcher_for(server, timeout_s=0.2).fetch(f"http://img.test:{server.port}/slow?1")


async def test_what_its_server_says_is_told(server: LocalServer) -> None:
    with pytest.raises(InvalidParameter, match="answered 404"):
        await fetcher_for(server).fetch(f"http://img.test:{server.port}/missing")


async def test_compressed_bytes_are_not_unpacked(server: LocalServer) -> None:
    content = await fetcher_for(server).fetch(f"http://img.test:{server.port}/gzip")
    assert content == b"\x1f\x8b compressed"


async def test_a_host_that_cannot_be_resolved_or_reached(server: LocalServer, free_port: int) -> None:
    with pytest.raises(InvalidParameter, match="cannot be resolved"):
        await fetcher_for(server, resolver=Resolver()).fetch(f"http://img.test:{server.port}/image")
    fetcher = ImageFetcher(
        AllowList.parse([f"http://img.test:{free_port}"]),
        max_bytes=10,
        timeout_s=5,
        resolver=Resolver(img_test=["127.0.0.1"]),
        address_allowed=only_loopback,
    )
    with pytest.raises(InvalidParameter, match="could not be fetched"):
        await fetcher.fetch(f"http://img.test:{free_port}/image")


async def test_proxies_of_the_environment_are_not_used(
    server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert await fetcher_for(server).fetch(f"http://img.test:{server.port}/image") == IMAGE


@pytest.mark.parametrize("kind", ["right", "wrong"])
async def test_the_certificate_is_checked_against_the_name_not_the_address(tmp_path: Path, kind: str) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program to make a certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    name = "img.test" if kind == "right" else "wrong.test"
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ]
    command += ["-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, check=True, capture_output=True)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    running = LocalServer()
    running.socket = tls.wrap_socket(running.socket, server_side=True)
    fetcher = ImageFetcher(
        AllowList.parse([f"img.test:{running.port}"]),
        max_bytes=100_000,
        timeout_s=10,
        resolver=Resolver(img_test=["127.0.0.1"]),
        address_allowed=only_loopback,
        tls=ssl.create_default_context(cafile=str(certificate)),
    )
    try:
        if kind == "right":
            assert await fetcher.fetch(f"https://img.test:{running.port}/image") == IMAGE
        else:
            with pytest.raises(InvalidParameter, match="could not be fetched"):
                await fetcher.fetch(f"https://img.test:{running.port}/image")
    finally:
        running.shutdown()
        running.server_close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.0.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "fd12:3456::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::808:808",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_global_address(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"])
def test_addresses_that_are_public(address: str) -> None:
    assert is_global_address(ipaddress.ip_address(address))


async def test_the_systems_resolver_sees_through_odd_forms() -> None:
    for form in ("127.0.0.1", "2130706433", "0x7f.1", "localhost"):
        assert set(await resolve(form, 80)) <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("entry", "uri", "allowed"),
    [
        ("example.com", ("https", "example.com", 443), True),
        ("EXAMPLE.com", ("https", "example.com", 443), True),
        ("example.com", ("http", "example.com", 80), False),
        ("example.com", ("https", "example.com", 8443), False),
        ("example.com", ("https", "a.example.com", 443), False),
        ("*.example.com", ("https", "a.b.example.com", 443), True),
        ("*.example.com", ("https", "example.com", 443), False),
        ("*.example.com", ("https", "badexample.com", 443), False),
        ("http://example.com", ("http", "example.com", 80), True),
        ("http://example.com", ("https", "example.com", 443), False),
        ("example.com:8443", ("https", "example.com", 8443), True),
        ("https://example.com/", ("https", "example.com", 443), True),
        ("żółw.example", ("https", "xn--w-uga1v8h.example", 443), True),
    ],
)
def test_the_allow_list(entry: str, uri: tuple[str, str, int], allowed: bool) -> None:
    assert AllowList.parse([entry]).allows(*uri) is allowed


@pytest.mark.parametrize(
    "entry", ["", "https://", "ftp://example.com", "example.com/path", "a@example.com", "a b", "*"]
)
def test_bad_entries_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"is not \[http"):
        AllowList.parse([entry])
