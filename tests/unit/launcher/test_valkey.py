"""The embedded Valkey: its password is asked for, and its state outlives it."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from interplay.launcher import valkey
from tests.conftest import wait_until

PASSWORD = "secret-of-this-test"


@pytest.fixture
def port(tmp_path: Path, free_port: int) -> Iterator[int]:
    """Port of a running server that wants a password."""
    config = valkey.write_config(tmp_path / "with space", port=free_port, password=PASSWORD)
    with subprocess.Popen(valkey.command(config), stdout=subprocess.DEVNULL) as server:
        client = redis.Redis(port=free_port, password=PASSWORD)
        wait_until(lambda: _ping(client), what="Valkey answers")
        yield free_port
        client.close()
        server.terminate()


def _ping(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


async def test_probe_needs_the_right_password(port: int) -> None:
    assert await valkey.answers_ping(port, PASSWORD)
    assert not await valkey.answers_ping(port, "wrong")
    assert not await valkey.answers_ping(port, None)


async def test_probe_of_nothing_is_false(free_port: int) -> None:
    assert not await valkey.answers_ping(free_port, PASSWORD)


def test_strangers_are_refused(port: int) -> None:
    with redis.Redis(port=port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()
