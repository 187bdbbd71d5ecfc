"""Where buckets are kept, and decisions taken: PostgreSQL, Redis, and the one that moves from Redis to PostgreSQL.

Each decision is one round trip, atomic in the store, by the store's own clock. Both stores give the same answers; one
suite of tests holds both to it.
"""

import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from django.db import connection
from redis import Redis

from instantlite import redislink, telemetry
from ratelimit.gcra import MICROSECONDS, Charge, Decision, decided

log = logging.getLogger("instantlite.ratelimit")


class Store(Protocol):
    """What keeps buckets. `at` is for tests, which bring their own clock: microseconds since the Unix epoch."""

    def charge(self, charges: Sequence[Charge], at: int | None = None) -> Decision:
        """Takes all charges or none."""
        ...

    def give_back(self, decision: Decision, at: int | None = None) -> None:
        """Returns what an allowed decision charged, less what the clock has returned already."""
        ...


class PostgresStore:
    """The table ratelimit_bucket and the functions of migration 0001. Raises django.db.Error when it is away."""

    name = "postgresql"

    def charge(self, charges: Sequence[Charge], at: int | None = None) -> Decision:
        """See Store."""
        # In the order of their keys, so that of two decisions on the same rows neither waits for the other for ever.
        ordered = sorted(charges, key=lambda charge: charge.key)
        what = [part for charge in ordered for part in (charge.key, charge.interval, charge.tolerance)]
        allowed, now, *levels = self._call("ratelimit_charge", what, at).split()
        return decided(ordered, allowed == "1", int(now), [int(level) for level in levels], self.name)

    def give_back(self, decision: Decision, at: int | None = None) -> None:
        """See Store."""
        self._call("ratelimit_give_back", _returned(decision), at)

    def _call(self, function: str, what: Sequence[object], at: int | None) -> str:
        # Keys are words of ours and base64url, so that the array needs no quoting; one text costs least to send.
        array = "{" + ",".join(map(str, what)) + "}"
        with connection.cursor() as cursor:
            if at is None:
                cursor.execute(f"SELECT {function}(%s, clock_timestamp())", [array])
            else:
                cursor.execute(f"SELECT {function}(%s, %s)", [array, _moment(at)])
            row = cursor.fetchone()
        return str(row[0]) if row else ""


def _moment(at: int) -> datetime:
    seconds, microseconds = divmod(at, MICROSECONDS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


def _returned(decision: Decision) -> list[str | int]:
    """Key, interval and TAT as it was charged, for each outcome; flat, in the order of the keys."""
    return [
        part
        for outcome in decision.outcomes
        for part in (outcome.charge.key, outcome.charge.interval, decision.at + outcome.level)
    ]


# The clock: ARGV[1], or Redis's own where that is empty.
_CLOCK = """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
"""

# KEYS are the buckets; ARGV is the clock (empty for Redis's own), then interval and tolerance of each. A first pass
# looks, a second one charges: a script runs alone. A bucket expires when it is full, which is what a missing one is.
_CHARGE = f"""{_CLOCK}
local tats, allowed = redis.call('MGET', unpack(KEYS)), 1
for i = 1, #KEYS do
    tats[i] = math.max(tonumber(tats[i] or 0), 0)
    if tats[i] > now + ARGV[2 * i + 1] - ARGV[2 * i] then
        allowed = 0
    end
end
local answer = {{allowed, string.format('%.0f', now)}}
for i = 1, #KEYS do
    if allowed == 1 then
        tats[i] = math.max(tats[i], now) + ARGV[2 * i]
        redis.call('SET', KEYS[i], string.format('%.0f', tats[i]), 'PX', math.ceil((tats[i] - now) / 1000))
    end
    answer[i + 2] = string.format('%.0f', tats[i] - now)
end
return answer
"""

# The same rule as ratelimit_give_back() in PostgreSQL. KEEPTTL keeps the expiry, which may then be late, never early.
_GIVE_BACK = f"""{_CLOCK}
for i = 1, #KEYS do
    local tat = tonumber(redis.call('GET', KEYS[i]) or '')
    if tat then
        local back = math.min(ARGV[2 * i], math.max(0, ARGV[2 * i + 1] - now))
        redis.call('SET', KEYS[i], string.format('%.0f', tat - back), 'KEEPTTL')
    end
end
"""

_KEY_PREFIX = "instantlite:limit:"


class RedisStore:
    """A key for each bucket, and one script call for each decision. Raises what redislink.FAILURES names."""

    name = "redis"

    def __init__(self, client: Redis) -> None:
        self._charge = client.register_script(_CHARGE)
        self._give_back = client.register_script(_GIVE_BACK)

    def charge(self, charges: Sequence[Charge], at: int | None = None) -> Decision:
        """See Store."""
        keys = [_KEY_PREFIX + charge.key for charge in charges]
        numbers = [number for charge in charges for number in (charge.interval, charge.tolerance)]
        allowed, now, *levels = self._charge(keys=keys, args=[_clock(at), *numbers])
        return decided(charges, allowed == 1, int(now), [int(level) for level in levels], self.name)

    def give_back(self, decision: Decision, at: int | None = None) -> None:
        """See Store."""
        flat = _returned(decision)
        numbers = [number for index in range(0, len(flat), 3) for number in flat[index + 1 : index + 3]]
        self._give_back(keys=[f"{_KEY_PREFIX}{key}" for key in flat[::3]], args=[_clock(at), *numbers])


def _clock(at: int | None) -> str:
    return "" if at is None else str(at)


class FallbackStore:
    """Redis while the link to it holds; PostgreSQL otherwise, and for the very request that finds out.

    The two do not copy their buckets to each other: a change of side costs a burst at most, each way.
    """

    def __init__(self, link: redislink.Link) -> None:
        self._link = link
        self._postgres = PostgresStore()
        self._redis: RedisStore | None = None
        self._client: Redis | None = None

    def charge(self, charges: Sequence[Charge], at: int | None = None) -> Decision:
        """See Store. Raises django.db.Error when neither answers."""
        decision = self._try_redis(lambda store: store.charge(charges, at)) or self._postgres.charge(charges, at)
        telemetry.RATELIMIT_STORE.add(store=decision.store)
        return decision

    def give_back(self, decision: Decision, at: int | None = None) -> None:
        """See Store. What Redis charged, Redis gets back, or nobody: its buckets may be gone by then."""
        if decision.store == PostgresStore.name:
            self._postgres.give_back(decision, at)
        else:
            self._try_redis(lambda store: store.give_back(decision, at))

    def _try_redis(self, call: Callable[[RedisStore], Any]) -> Any:
        """What Redis answers; None when there is none, or it does not answer."""
        client = self._link.client()
        if client is None:
            return None
        if self._redis is None or self._client is not client:
            self._client, self._redis = client, RedisStore(client)
        try:
            return call(self._redis)
        except redislink.FAILURES as error:
            self._link.lost(error)
            return None


store: Store = FallbackStore(redislink.link)
