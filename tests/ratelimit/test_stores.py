"""Both stores against one reference model: the same answers, to the microsecond, by any sequence of calls."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instantlite.config import Rate
from ratelimit.gcra import Charge, Decision
from ratelimit.stores import Store

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NOON = 1_800_000_000_000_000
_partitions = count()

# Intervals of many seconds: Redis expires keys by its own clock, which the test's clock must not be far behind of.
# Seven in an hour does not come out even.
RATES = {
    "requests": Rate(3, MINUTE, burst=5),
    "captures": Rate(7, HOUR),
    "provisions": Rate(2, DAY, burst=3),
}


def fresh() -> str:
    """A partition that no test has used."""
    return f"p{next(_partitions)}"


def charge(limit: str, partition: str) -> Charge:
    return Charge(limit, partition, RATES[limit])


@dataclass
class Model:
    """The reference: a bucket of tokens that drips, in exact fractions; written from the textbook, not from gcra.py."""

    tokens: dict[str, Fraction] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)

    def _interval(self, one: Charge) -> int:
        exact = Fraction(int(one.rate.period.total_seconds()) * 1_000_000, one.rate.count)
        return -(-exact.numerator // exact.denominator)

    def _now(self, one: Charge, at: int) -> Fraction:
        size = one.rate.burst or one.rate.count
        rested = Fraction(at - self.seen.get(one.key, at), self._interval(one))
        return min(Fraction(size), self.tokens.get(one.key, Fraction(size)) + rested)

    def charge(self, charges: Sequence[Charge], at: int) -> tuple[bool, dict[str, Fraction]]:
        """Whether all are taken, and what each bucket holds afterwards."""
        held = {one.key: self._now(one, at) for one in charges}
        allowed = all(tokens >= 1 for tokens in held.values())
        for one in charges:
            self.tokens[one.key] = held[one.key] - (1 if allowed else 0)
            self.seen[one.key] = at
        return allowed, {one.key: self.tokens[one.key] for one in charges}

    def give_back(self, one: Charge, full_at: int, at: int) -> None:
        """One token, or what of it the clock has not returned already: the bucket would be full at `full_at`."""
        left = Fraction(max(0, full_at - at), self._interval(one))
        size = one.rate.burst or one.rate.count
        self.tokens[one.key] = min(Fraction(size), self._now(one, at) + min(Fraction(1), left))
        self.seen[one.key] = at


steps = st.lists(
    st.tuples(
        # How much later: nothing, a microsecond, about one interval of each rate, or anything up to two days.
        st.one_of(
            st.sampled_from([0, 1, 19_999_999, 20_000_000, 514_285_714, 514_285_715, 43_200_000_000]),
            st.integers(0, 172_800_000_000),
        ),
        st.sets(st.sampled_from(sorted(RATES)), min_size=1),
        st.integers(0, 1),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@given(steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_store_decides_as_the_model_does(store: Store, steps: list[tuple[int, set[str], int, bool]]) -> None:
    model, at = Model(), NOON
    partitions = [fresh(), fresh()]
    for later, limits, which, returned in steps:
        at += later
        charges = [charge(limit, partitions[which]) for limit in sorted(limits)]
        allowed, tokens = model.charge(charges, at)
        decision = store.charge(charges, at)
        assert (decision.allowed, decision.at) == (allowed, at)
        for outcome in decision.outcomes:
            size = outcome.charge.tolerance // outcome.charge.interval
            assert Fraction(outcome.level, outcome.charge.interval) == size - tokens[outcome.charge.key]
            assert outcome.remaining == int(tokens[outcome.charge.key])
        if allowed and returned:
            store.give_back(decision, at + 7)
            for outcome in decision.outcomes:
                model.give_back(outcome.charge, at + outcome.level, at + 7)
            at += 7


def take(store: Store, limit: str, partition: str, at: int) -> Decision:
    return store.charge([charge(limit, partition)], at)


def test_a_burst_is_admitted_at_once_and_then_one_in_each_interval(store: Store) -> None:
    who = fresh()
    assert [take(store, "requests", who, NOON).allowed for _ in range(6)] == [True] * 5 + [False]
    interval = 20_000_000
    assert not take(store, "requests", who, NOON + interval - 1).allowed
    assert take(store, "requests", who, NOON + interval).allowed
    assert not take(store, "requests", who, NOON + interval).allowed


def test_the_answer_says_what_is_left_and_when_to_come_back(store: Store) -> None:
    who = fresh()
    first = take(store, "provisions", who, NOON)
    assert [(one.remaining, one.reset_seconds) for one in first.outcomes] == [(2, 43_200)]
    assert first.retry_after_seconds == 0
    take(store, "provisions", who, NOON)
    take(store, "provisions", who, NOON)
    denied = take(store, "provisions", who, NOON + 1_500_000)
    assert not denied.allowed
    assert denied.denied_by
    assert denied.denied_by.remaining == 0
    # Rounded up: whoever waits so long is admitted.
    assert denied.retry_after_seconds == 43_199
    assert take(store, "provisions", who, NOON + 1_500_000 + 43_199_000_000).allowed


def test_a_denial_by_one_limit_charges_none(store: Store) -> None:
    who = fresh()
    for _ in range(3):
        assert store.charge([charge("provisions", who), charge("captures", who)], NOON).allowed
    for _ in range(4):
        denied = store.charge([charge("captures", who), charge("provisions", who)], NOON)
        assert not denied.allowed
        assert denied.denied_by
        assert denied.denied_by.charge.limit == "provisions"
    assert [one.remaining for one in take(store, "captures", who, NOON).outcomes] == [3]


def test_a_denial_leaves_no_trace_for_a_caller_whose_clock_was_read_earlier(store: Store) -> None:
    """Of two callers that wait for one row, the second may have read the clock before the first."""
    who = fresh()
    while take(store, "requests", who, NOON).allowed:
        pass
    denied = store.charge([charge("captures", who), charge("requests", who)], NOON + 50)
    assert not denied.allowed
    assert [one.remaining for one in take(store, "captures", who, NOON + 20).outcomes] == [6]


def test_the_longest_wait_counts_where_several_limits_deny(store: Store) -> None:
    who = fresh()
    for limit in ("provisions", "captures"):
        while take(store, limit, who, NOON).allowed:
            pass
    denied = store.charge([charge("captures", who), charge("provisions", who)], NOON)
    assert denied.denied_by
    assert denied.denied_by.charge.limit == "provisions"


def test_a_clock_that_is_set_back_admits_no_more(store: Store) -> None:
    who = fresh()
    while take(store, "requests", who, NOON).allowed:
        pass
    assert not take(store, "requests", who, NOON - 3_600_000_000).allowed
    assert take(store, "requests", who, NOON + 20_000_000).allowed


def test_what_is_given_back_can_be_had_again_and_not_twice(store: Store) -> None:
    who = fresh()
    decisions = [take(store, "provisions", who, NOON) for _ in range(3)]
    store.give_back(decisions[1], NOON)
    assert take(store, "provisions", who, NOON).allowed
    assert not take(store, "provisions", who, NOON).allowed


def test_what_is_given_back_late_admits_none_too_many(store: Store) -> None:
    """The clock has given the first charge back by itself; given back once more, it would make four of three."""
    who = fresh()
    early = take(store, "provisions", who, NOON)
    later = NOON + 43_200_000_000
    for _ in range(2):
        assert take(store, "provisions", who, later).allowed
    store.give_back(early, later)
    assert take(store, "provisions", who, later).allowed
    assert not take(store, "provisions", who, later).allowed


@pytest.mark.django_db
def test_time_is_the_store_s_clock(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance whose own clock is a year ahead decides no differently."""
    import time  # noqa: PLC0415 — only to turn it

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + 365 * 86_400)
    decision = store.charge([charge("requests", fresh())])
    assert abs(decision.at / 1e6 - real()) < 60
