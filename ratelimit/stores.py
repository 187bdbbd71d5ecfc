"""Where buckets are kept, and decisions taken: PostgreSQL, Redis, and the one that moves from Redis to PostgreSQL.

Each decision is one round trip, atomic in the store, by the store's own clock. Both stores give the same answers; one
suite of tests holds both to it.
"""

import hashlib
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from django.db import DEFAULT_DB_ALIAS, connections
from redis import Redis
from redis.exceptions import NoScriptError

from instantlite import redislink, telemetry
from ratelimit.gcra import MICROSECONDS, Charge, Decision, Outcome

log = logging.getLogger("instantlite.ratelimit")


class Taken(NamedTuple):
    """What one bucket gave of several charges. `wait`: microseconds until it would give one more."""

    granted: int
    wait: int


class Store(Protocol):
    """What keeps buckets. `at` is for tests, which bring their own clock: microseconds since the Unix epoch."""

    def charge(self, charges: Sequence[Charge], at: int | None = None) -> Decision:
        """Takes all charges or none."""
        ...

    def give_back(self, decision: Decision, at: int | None = None) -> None:
        """Returns what an allowed decision charged, less what the clock has returned already."""
        ...

    def take(self, wanted: Mapping[Charge, int], at: int | None = None) -> dict[Charge, Taken] | None:
        """Takes each charge so often, or as often as its bucket gives: each for itself.

        None where the caller's own statement in PostgreSQL is to do it, with ratelimit_take() (migration 0002).
        """
        ...


class PostgresStore:
    """The table ratelimit_bucket and the functions of migration 0001. Raises django.db.Error when it is away."""

    name = "postgresql"

    def charge(self, charges: Sequence[Charge], at: int | None = None) -> Decision:
        """See Store."""
        # In the order of their keys, so that of two decisions on the same rows neither waits for the other for ever.
        ordered = sorted(charges, key=lambda charge: charge.key)
        what = [part for charge in ordered for part in (charge.key, charge.interval, charge.tolerance)]
        return _decided(ordered, self._call("ratelimit_charge", what, at), self.name)

    def give_back(self, decision: Decision, at: int | None = None) -> None:
        """See Store."""
        self._call("ratelimit_give_back", _returned(decision), at)

    def take(self, wanted: Mapping[Charge, int], at: int | None = None) -> None:
        """See Store: what needs several charges at once has something to write, and does both in one statement."""

    def _call(self, function: str, what: Sequence[object], at: int | None) -> str:
        """One statement, straight to psycopg: Django's cursor and psycopg's parameters would each take a tenth of the
        time of every decision. So the values are written into it, which is safe for words of nothing but _WORD.
        """
        for word in what:
            if not _WORD.fullmatch(str(word)):
                raise ValueError("a bucket's key is letters, digits, - and _, with one colon")
        moment = "clock_timestamp()" if at is None else f"'{_moment(at).isoformat()}'"
        database = connections[DEFAULT_DB_ALIAS]
        database.ensure_connection()
        with database.wrap_database_errors:
            statement = f"SELECT {function}('{{{','.join(map(str, what))}}}', {moment})"
            row = database.connection.execute(statement).fetchone()
        return str(row[0])


# A key (see gcra.Charge) or a number.
_WORD = re.compile(r"[A-Za-z0-9_-]+(?::[A-Za-z0-9_-]+)?")


def _moment(at: int) -> datetime:
    seconds, microseconds = divmod(at, MICROSECONDS)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=microseconds)


def _decided(charges: Sequence[Charge], answer: str | bytes, store: str) -> Decision:
    """What both stores answer, `<1 or 0> <now> <level> <level> …`, as a Decision."""
    allowed, now, *levels = map(int, answer.split())
    outcomes = tuple(Outcome(charge, max(0, level)) for charge, level in zip(charges, levels, strict=True))
    return Decision(allowed == 1, now, outcomes, store)


def _returned(decision: Decision) -> list[str | int]:
    """Key, interval and TAT as it was charged, for each outcome; flat, in the order of the keys."""
    return [
        part
        for outcome in decision.outcomes
        for part in (outcome.charge.key, outcome.charge.interval, decision.at + outcome.level)
    ]


# ARGV[1] is the clock, empty for Redis's own. What is said is text, because Lua would cut numbers to 14 digits.
_CLOCK = """
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] * 1000000 + time[2]
end
"""

# KEYS are the buckets, ARGV goes on with interval and tolerance of each. A first pass looks, a second one charges: a
# script runs alone. A bucket expires when it is full, which is what a missing one is.
_CHARGE = f"""{_CLOCK}
local tats, allowed = {{}}, true
for i = 1, #KEYS do
    local tat = tonumber(redis.call('GET', KEYS[i]) or 0)
    if tat > now + ARGV[2 * i + 1] - ARGV[2 * i] then
        allowed = false
    end
    tats[i] = tat
end
local answer = string.format('%d %.0f', allowed and 1 or 0, now)
for i = 1, #KEYS do
    local tat = tats[i]
    if allowed then
        tat = math.max(tat, now) + ARGV[2 * i]
        redis.call('SET', KEYS[i], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
    end
    answer = answer .. string.format(' %.0f', tat - now)
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


@dataclass(frozen=True)
class _Script:
    """A script that Redis keeps by its SHA-1; sent whole only to a Redis that does not know it (yet, or any more)."""

    text: str

    @cached_property
    def sha(self) -> str:
        return hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def run(self, client: Redis, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
        try:
            return client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return client.eval(self.text, len(keys), *keys, *arguments)


# As ratelimit_take() in PostgreSQL, for each of KEYS. ARGV goes on with wanted, interval and tolerance of each.
_TAKE = f"""{_CLOCK}
local answer = {{}}
for i = 1, #KEYS do
    local wanted, interval, tolerance = tonumber(ARGV[3 * i - 1]), tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
    local tat = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
    local taken = math.min(wanted, math.max(0, math.floor((now + tolerance - tat) / interval)))
    tat = tat + taken * interval
    if taken > 0 then
        redis.call('SET', KEYS[i], string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
    end
    answer[2 * i - 1] = taken
    answer[2 * i] = string.format('%.0f', math.max(0, tat + interval - tolerance - now))
end
return answer
"""


_CHARGE_SCRIPT, _GIVE_BACK_SCRIPT, _TAKE_SCRIPT = _Script(_CHARGE), _Script(_GIVE_BACK), _Script(_TAKE)
_KEY_PREFIX = "instantlite:limit:"


class RedisStore:
    """A key for each bucket, and one script call for each decision. Raises what redislink.FAILURES names."""

    name = "redis"

    def __init__(self, client: Redis) -> None:
        self._client = client

    def charge(self, charges: Sequence[Charge], at: int | None = None) -> Decision:
        """See Store."""
        keys = [_KEY_PREFIX + charge.key for charge in charges]
        numbers = [number for charge in charges for number in (charge.interval, charge.tolerance)]
        answer = _CHARGE_SCRIPT.run(self._client, keys, [_clock(at), *numbers])
        return _decided(charges, answer, self.name)

    def give_back(self, decision: Decision, at: int | None = None) -> None:
        """See Store."""
        flat = _returned(decision)
        numbers = [number for index in range(0, len(flat), 3) for number in flat[index + 1 : index + 3]]
        _GIVE_BACK_SCRIPT.run(self._client, [f"{_KEY_PREFIX}{key}" for key in flat[::3]], [_clock(at), *numbers])

    def take(self, wanted: Mapping[Charge, int], at: int | None = None) -> dict[Charge, Taken]:
        """See Store."""
        keys = [_KEY_PREFIX + charge.key for charge in wanted]
        numbers = [part for charge, count in wanted.items() for part in (count, charge.interval, charge.tolerance)]
        answer = list(map(int, _TAKE_SCRIPT.run(self._client, keys, [_clock(at), *numbers])))
        return {charge: Taken(*answer[2 * place : 2 * place + 2]) for place, charge in enumerate(wanted)}


def _clock(at: int | None) -> str:
    return "" if at is None else str(at)


class FallbackStore:
    """Redis while the link to it holds; PostgreSQL otherwise, and for the very request that finds out.

    The two do not copy their buckets to each other: a change of side costs a burst at most, each way.
    """

    def __init__(self, link: redislink.Link) -> None:
        self._link = link
        self._postgres = PostgresStore()

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

    def take(self, wanted: Mapping[Charge, int], at: int | None = None) -> dict[Charge, Taken] | None:
        """See Store."""
        taken: dict[Charge, Taken] | None = self._try_redis(lambda store: store.take(wanted, at))
        telemetry.RATELIMIT_STORE.add(store=RedisStore.name if taken else PostgresStore.name)
        return taken

    def _try_redis(self, call: Callable[[RedisStore], Any]) -> Any:
        """What Redis answers; None when there is none, or it does not answer."""
        client = self._link.client()
        if client is None:
            return None
        try:
            return call(RedisStore(client))
        except redislink.FAILURES as error:
            self._link.lost(error)
            return None


store: Store = FallbackStore(redislink.link)
