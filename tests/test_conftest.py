"""The shared fixtures do what their users rely on."""

from __future__ import annotations

import redis

from tests.conftest import ValkeyProcess


def test_redis_url_is_empty_and_never_evicts(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}


def test_a_killed_valkey_keeps_what_it_acknowledged(own_valkey: ValkeyProcess) -> None:
    with redis.Redis.from_url(own_valkey.url) as client:
        client.set("job", "queued")
    own_valkey.restart(kill=True)
    with redis.Redis.from_url(own_valkey.url) as client:
        assert client.get("job") == b"queued"
