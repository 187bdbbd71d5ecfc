"""The loop: steps run when they are due, a bad one harms no other, a wake-up is at once."""

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection

from instantlite.housekeeping import WAKE_CHANNEL, Housekeeper, Step
from tests.service import wait_for

pytestmark = pytest.mark.django_db(transaction=True)


def daily() -> timedelta:
    return timedelta(days=1)


class Counted:
    """A step's work that counts its calls and has so many units to do each time."""

    def __init__(self, units: int = 0, fails: type[Exception] | None = None) -> None:
        self.calls = 0
        self.units = units
        self.fails = fails

    def __call__(self) -> str | None:
        self.calls += 1
        if self.fails:
            raise self.fails("on purpose")
        self.units -= 1
        return "did one" if self.units >= 0 else None


def test_a_step_runs_until_it_has_nothing_left() -> None:
    work = Counted(units=3)
    keeper = Housekeeper([Step("s", daily, work)])
    keeper.turn()
    assert work.calls == 4
    keeper.turn()
    assert work.calls == 4


def test_a_step_with_endless_work_lets_the_others_have_a_turn() -> None:
    endless, other = Counted(units=1000), Counted()
    keeper = Housekeeper([Step("endless", daily, endless), Step("other", daily, other)])
    keeper.turn()
    assert (endless.calls, other.calls) == (20, 1)
    keeper.turn()
    assert (endless.calls, other.calls) == (40, 1)


@pytest.mark.parametrize("error", [ValueError, OperationalError])
def test_a_failing_step_does_not_end_the_others(error: type[Exception]) -> None:
    bad, good = Counted(fails=error), Counted()
    Housekeeper([Step("bad", daily, bad), Step("good", daily, good)]).turn()
    assert (bad.calls, good.calls) == (1, 1)


def test_a_notification_wakes_the_steps_that_ask_for_it() -> None:
    woken, timed = Counted(), Counted()
    keeper = Housekeeper([Step("woken", daily, woken, on_wake=True), Step("timed", daily, timed)])
    thread = threading.Thread(target=keeper.run)
    thread.start()
    try:
        wait_for(lambda: _listens() and timed.calls, what="the loop to listen, and its first turn")
        before = woken.calls
        with connection.cursor() as cursor:
            cursor.execute(f"NOTIFY {WAKE_CHANNEL}")
        wait_for(lambda: woken.calls > before, seconds=5, what="the step that was woken")
        assert timed.calls == 1
    finally:
        keeper.stop()
        thread.join(10)
    assert not thread.is_alive()


def test_the_loop_listens_again_after_its_connection_was_cut() -> None:
    woken = Counted()
    keeper = Housekeeper([Step("woken", daily, woken, on_wake=True)])
    thread = threading.Thread(target=keeper.run)
    thread.start()
    try:
        cut = wait_for(_listens, what="the loop to listen")
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(%s)", [cut])
        wait_for(lambda: _listens() not in (None, cut), what="the loop to listen again")
    finally:
        keeper.stop()
        thread.join(10)
    assert not thread.is_alive()


def _listens() -> int | None:
    """The backend of a loop that waits in LISTEN."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE application_name = 'instantlite listener' AND query ~ '^LISTEN' AND state = 'idle'"
        )
        row = cursor.fetchone()
    return row[0] if row else None
