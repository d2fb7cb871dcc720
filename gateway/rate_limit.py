"""Token buckets, one a caller, kept in Valkey so that all gateway replicas count together.

One Lua script takes a token atomically on the server's own clock. While Valkey cannot be reached,
each gateway counts by itself, so that requests are neither refused nor unlimited.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from interplay.errors import RateLimited
from interplay.telemetry.logging import get_logger

log = get_logger(__name__)

_TAKE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1e6
local rate, capacity = tonumber(ARGV[1]), tonumber(ARGV[2])
local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = math.min(capacity, (tonumber(bucket[1]) or capacity)
                                  + math.max(0, now - (tonumber(bucket[2]) or now)) * rate)
local taken = 0
if tokens >= 1 then
  tokens = tokens - 1
  taken = 1
end
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(capacity / rate * 1000) + 1000)
return {taken, string.format('%.6f', tokens)}
"""
_KEY_PREFIX = "interplay:rate:"
_RETRY_VALKEY_S = 1.0
_MAX_LOCAL_BUCKETS = 10_000


@dataclass(frozen=True)
class Allowance:
    """State of a bucket after a request asked for a token.

    Attributes:
        taken: Whether the request got one.
        tokens: Tokens left.
        rate: Tokens that come a second.
        capacity: Most tokens the bucket holds.
    """

    taken: bool
    tokens: float
    rate: float
    capacity: float

    def headers(self) -> dict[str, str]:
        """``RateLimit-*``: burst size, requests left of it, seconds until it is whole again."""
        return {
            "RateLimit-Limit": str(int(self.capacity)),
            "RateLimit-Remaining": str(int(self.tokens)),
            "RateLimit-Reset": str(math.ceil((self.capacity - self.tokens) / self.rate)),
        }

    def refusal(self) -> RateLimited | None:
        """The error for the caller, or None if a token was taken."""
        if self.taken:
            return None
        return RateLimited(
            f"more than {self.rate:g} requests a second (burst {self.capacity:g}) from this caller",
            retry_after_s=max(0.0, 1.0 - self.tokens) / self.rate,
            metadata={"limit": f"{self.rate:g}"},
        )


class RateLimiter:
    """Takes tokens for callers.

    Args:
        redis: Client with a short timeout; a slow Valkey must not slow requests down.
        rate: Requests a second for one caller; 0 turns limiting off.
        burst_s: Seconds' worth of requests that a full bucket holds.
    """

    def __init__(self, redis: Redis, rate: float, burst_s: float) -> None:
        self._rate = rate
        self._burst_s = burst_s
        self._script = redis.register_script(_TAKE)
        self._local: dict[str, tuple[float, float]] = {}
        self._local_until = 0.0

    async def take(self, caller_id: str, rate: float | None = None) -> Allowance | None:
        """Take a token from a caller's bucket.

        Args:
            caller_id: Whose bucket.
            rate: This caller's own rate; None takes the default.

        Returns:
            What came of it; None where the caller is not limited.
        """
        effective = self._rate if rate is None else rate
        if effective <= 0:
            return None
        capacity = max(1.0, effective * self._burst_s)
        now = time.monotonic()
        if now >= self._local_until:
            try:
                taken, tokens = await self._script(keys=[_KEY_PREFIX + caller_id], args=[effective, capacity])
            except (RedisError, OSError) as error:
                if self._local_until == 0.0:
                    log.warning("rate_limit_counts_locally", fault=type(error).__name__)
                self._local_until = now + _RETRY_VALKEY_S
            else:
                if self._local_until:
                    log.info("rate_limit_counts_in_valkey_again")
                    self._local_until = 0.0
                    self._local.clear()
                return Allowance(bool(taken), float(tokens), effective, capacity)
        return self._take_locally(caller_id, effective, capacity, now)

    def _take_locally(self, caller_id: str, rate: float, capacity: float, now: float) -> Allowance:
        if (
            len(self._local) >= _MAX_LOCAL_BUCKETS
        ):  # forgetting gives callers a full bucket; memory matters more
            self._local.clear()
        tokens, at = self._local.get(caller_id, (capacity, now))
        tokens = min(capacity, tokens + (now - at) * rate)
        taken = tokens >= 1.0
        if taken:
            tokens -= 1.0
        self._local[caller_id] = (tokens, now)
        return Allowance(taken, tokens, rate, capacity)
