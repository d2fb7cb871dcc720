"""The command line, run in this process, and a gateway that answers as it is told."""

from __future__ import annotations

import contextlib
import io
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from interplay.cli.root import run


@dataclass
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


@pytest.fixture
def interplay(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Function that runs ``interplay`` with arguments."""
    monkeypatch.setenv("COLUMNS", "160")

    def run_command(*arguments: object) -> Ran:
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            run([str(argument) for argument in arguments])
        code = ended.value.code
        return Ran(
            code if isinstance(code, int) else 0 if code is None else 1, out.getvalue(), err.getvalue()
        )

    return run_command


@dataclass
class FakeGateway:
    """Answers by path and Accept header, and remembers what it was asked.

    Attributes:
        url: Where it listens.
        answers: Status, media type and body by path.
        asked: Path, headers and body of every request.
    """

    url: str = ""
    answers: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)

    def answer_json(self, path: str, body: object, *, status: int = 200, problem: bool = False) -> None:
        """Set an answer."""
        media_type = "application/problem+json" if problem else "application/json"
        self.answers[path] = (status, media_type, json.dumps(body).encode())


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    """A small HTTP server in place of the gateway."""
    fake = FakeGateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fake.asked.append((self.path, dict(self.headers.items()), body))
            accept = self.headers.get("Accept", "")
            fails = self.path in fake.answers and fake.answers[self.path][0] >= 400
            if accept.startswith("image/") and not fails:
                status, media_type, content = 200, accept, b"\x89PNG picture"
            elif accept == "text/html" and not fails:
                status, media_type, content = 200, accept, b"<!doctype html> page"
            else:
                status, media_type, content = fake.answers[self.path]
            self.send_response(status)
            self.send_header("Content-Type", media_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_DELETE = do_POST

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield fake
        server.shutdown()
        thread.join()
