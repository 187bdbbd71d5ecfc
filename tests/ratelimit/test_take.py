"""Several charges at once: as many are taken as one after the other would be, by the same arithmetic in every store."""

from itertools import count

from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ratelimit.gcra import Charge
from ratelimit.stores import PostgresStore, Store, Taken
from tests.ratelimit.test_stores import NOON, RATES

_partitions = count()

steps = st.lists(
    st.tuples(
        # How much later: nothing, a microsecond, about one interval of each rate, back by a second, or anything.
        st.one_of(
            st.sampled_from([0, 1, -1_000_000, 19_999_999, 20_000_000, 514_285_714, 514_285_715, 43_200_000_000]),
            st.integers(0, 172_800_000_000),
        ),
        st.integers(1, 9),
        st.booleans(),
    ),
    min_size=1,
    max_size=15,
)


def take(store: Store, wanted: dict[Charge, int], at: int) -> dict[Charge, Taken]:
    """As the store itself does, or the function that a statement in PostgreSQL calls."""
    if not isinstance(store, PostgresStore):
        taken = store.take(wanted, at)
        assert taken is not None
        return taken
    taken = {}
    for rate in {charge.rate for charge in wanted}:
        of_rate = [charge for charge in wanted if charge.rate == rate]
        taken.update(zip(of_rate, call(of_rate, [wanted[charge] for charge in of_rate], at), strict=True))
    return taken


def call(charges: list[Charge], numbers: list[int], at: int) -> list[Taken]:
    """Charges of one rate, in one call."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT taken, wait_us FROM ratelimit_take(%s, %s::int[], %s, %s, to_timestamp(%s::numeric / 1000000))",
            [[charge.key for charge in charges], numbers, charges[0].interval, charges[0].tolerance, at],
        )
        return [Taken(*each) for each in zip(*cursor.fetchall()[0], strict=True)]


def one_after_the_other(store: Store, charge: Charge, wanted: int, at: int) -> Taken:
    decisions = [store.charge([charge], at) for _ in range(wanted)]
    return Taken(sum(one.allowed for one in decisions), decisions[-1].outcomes[0].wait)


@given(st.sampled_from(sorted(RATES)), steps)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_so_many_at_once_are_as_many_as_one_after_the_other(
    store: Store, limit: str, steps: list[tuple[int, int, bool]]
) -> None:
    number, at = next(_partitions), NOON
    at_once, in_turn = (Charge(limit, f"{kind}{number}", RATES[limit]) for kind in ("once", "turn"))
    for later, wanted, both_in_turn in steps:
        at += later
        expected = one_after_the_other(store, in_turn, wanted, at)
        if both_in_turn:
            # The two share a bucket: what one has charged, the other sees.
            assert one_after_the_other(store, at_once, wanted, at) == expected
        else:
            assert take(store, {at_once: wanted}, at)[at_once] == expected


def test_each_bucket_gives_for_itself(store: Store) -> None:
    number = next(_partitions)
    first, second, third = (Charge("requests", f"each{number}-{n}", RATES["requests"]) for n in range(3))
    assert take(store, {first: 4}, NOON) == {first: Taken(4, 0)}
    assert take(store, {first: 9, second: 2, third: 9}, NOON) == {
        first: Taken(1, 20_000_000),
        second: Taken(2, 0),
        third: Taken(5, 20_000_000),
    }


def test_a_bucket_that_refuses_is_left_as_it_was(store: Store) -> None:
    charge = Charge("provisions", f"refuses{next(_partitions)}", RATES["provisions"])
    take(store, {charge: 3}, NOON)
    for _ in range(3):
        assert take(store, {charge: 2}, NOON + 7)[charge] == Taken(0, 43_200_000_000 - 7)
    assert take(store, {charge: 2}, NOON + 43_200_000_000)[charge] == Taken(1, 43_200_000_000)
