"""How many databases are built at once for the pool: requests share the machine with every build that runs."""

import pytest

from instantlite.resource import State
from provisioning.models import Database


def pooled(state: State, count: int) -> list[Database]:
    """So many more in this state: rows alone, no cluster is asked."""
    made = []
    for _ in range(count):
        database = Database.objects.start_build()
        assert database
        if state == State.READY:
            assert Database.objects.finish_build(database)
        made.append(database)
    return made


@pytest.mark.usefixtures("platform")
def test_one_build_at_a_time_while_the_pool_is_half_full() -> None:
    pooled(State.READY, 5)
    assert Database.objects.start_build(only_below=10)
    assert Database.objects.start_build(only_below=10) is None


@pytest.mark.usefixtures("platform")
def test_the_next_build_begins_when_the_one_before_is_finished() -> None:
    pooled(State.READY, 5)
    first = Database.objects.start_build(only_below=10)
    assert first
    assert Database.objects.finish_build(first)
    assert Database.objects.start_build(only_below=10)


@pytest.mark.usefixtures("platform")
def test_builds_run_side_by_side_once_the_pool_is_less_than_half_full() -> None:
    pooled(State.READY, 4)
    builds = [Database.objects.start_build(only_below=10) for _ in range(6)]
    assert all(builds)
    assert Database.objects.start_build(only_below=10) is None


@pytest.mark.usefixtures("platform")
def test_an_empty_pool_of_one_is_filled() -> None:
    assert Database.objects.start_build(only_below=1)
    assert Database.objects.start_build(only_below=1) is None
