"""Token buckets in a real Valkey, and without it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from gateway.rate_limit import RateLimiter
from tests.conftest import ValkeyProcess


def client_of(url: str) -> Redis:
    return Redis.from_url(url, socket_timeout=0.5, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0))


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    client = client_of(redis_url)
    yield client
    await client.aclose()


async def test_a_burst_passes_and_the_next_request_does_not(redis: Redis) -> None:
    limiter = RateLimiter(redis, rate=0.01, burst_s=300)
    allowances = [await limiter.take("key:a") for _ in range(4)]
    assert [a.taken for a in allowances if a] == [True, True, True, False]
    last = allowances[-1]
    assert last is not None
    refusal = last.refusal()
    assert refusal is not None
    assert refusal.retry_after_s == pytest.approx(100, abs=2)
    assert last.headers() == {"RateLimit-Limit": "3", "RateLimit-Remaining": "0", "RateLimit-Reset": "300"}


async def test_callers_have_their_own_buckets_and_rates(redis: Redis) -> None:
    limiter = RateLimiter(redis, rate=0.01, burst_s=100)
    for caller, rate, expected in (
        ("a", None, [True, False]),
        ("b", 0.02, [True, True]),
        ("c", None, [True, False]),
    ):
        allowances = [await limiter.take(caller, rate) for _ in range(2)]
        assert [a.taken for a in allowances if a] == expected
    assert await limiter.take("d", 0) is None


async def test_two_gateways_count_together(redis: Redis, redis_url: str) -> None:
    other = client_of(redis_url)
    limiters = [RateLimiter(client, rate=0.01, burst_s=1000) for client in (redis, other)]
    taken = await asyncio.gather(*(limiters[i % 2].take("a") for i in range(30)))
    assert sum(a.taken for a in taken if a) == 10
    await other.aclose()


async def test_tokens_come_back_with_time(redis: Redis) -> None:
    limiter = RateLimiter(redis, rate=50, burst_s=0.02)
    first = await limiter.take("a")
    assert first is not None and first.taken
    for _ in range(200):
        allowance = await limiter.take("a")
        assert allowance is not None
        if allowance.taken:
            return
        await asyncio.sleep(0.005)
    pytest.fail("no token came back")


async def test_buckets_expire(redis: Redis) -> None:
    await RateLimiter(redis, rate=10, burst_s=2).take("a")
    assert 0 < await redis.pttl("interplay:rate:a") <= 3100


async def test_off_asks_nothing_of_valkey() -> None:
    unreachable = client_of("redis://127.0.0.1:1/0")
    assert await RateLimiter(unreachable, rate=0, burst_s=1).take("a") is None
    await unreachable.aclose()


async def test_without_valkey_each_gateway_counts_and_returns_to_it(
    own_valkey: ValkeyProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.rate_limit._RETRY_VALKEY_S", 0.05)
    redis = client_of(own_valkey.url)
    limiter = RateLimiter(redis, rate=0.01, burst_s=200)
    await limiter.take("a")
    own_valkey.stop(kill=True)
    taken = [await limiter.take("a") for _ in range(4)]
    assert [a.taken for a in taken if a] == [True, True, False, False]
    await asyncio.to_thread(own_valkey.start)
    for _ in range(200):
        await limiter.take("b")
        if await redis.exists("interplay:rate:b"):
            break
        await asyncio.sleep(0.02)
    else:
        pytest.fail("the limiter did not return to Valkey")
    await redis.aclose()
