"""How couriers step back while requests come in, and go on when there is room."""

import threading

import pytest

from webhooks.pace import Pace, waited_for_processor


class Clock:
    """Seconds that pass when the test says so, and requests that were taken in meanwhile."""

    def __init__(self) -> None:
        self.now, self.taken, self.waited = 100.0, 0, 0.0
        self.pace = Pace(lambda: self.taken, lambda: self.now, lambda: self.waited)

    def passes(self, seconds: float, *, a_second: float, turn: float, waiting: float = 0.0) -> None:
        """So long, with 16 looks a second, at each of which something had waited `turn` for its turn.

        `waiting` is the part of the time for which there was no processor.
        """
        for _ in range(round(seconds * 16)):
            self.now += 0.0625
            self.taken += round(a_second * 0.0625)
            self.waited += 0.0625 * waiting
            assert self.pace.is_due
            self.pace.look(turn)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_without_requests_nothing_is_held_back(clock: Clock) -> None:
    clock.passes(5, a_second=0, turn=0.5)
    assert clock.pace.allowed(200) == 200
    assert clock.pace.wait == 0


def test_with_requests_and_nothing_that_waits_neither(clock: Clock) -> None:
    clock.passes(5, a_second=1000, turn=0.001)
    assert clock.pace.allowed(200) == 200


def test_while_requests_wait_for_their_turn_few_are_started_and_never_none(clock: Clock) -> None:
    clock.passes(5, a_second=1000, turn=0.02)
    assert clock.pace.rate == pytest.approx(50, rel=0.02)
    started = 0
    for _ in range(128):
        clock.now += 1 / 128
        number = clock.pace.allowed(200)
        clock.pace.started(number)
        started += number
    # A second's worth, and what may start at once.
    assert 45 <= started <= 60


def test_the_wait_is_until_one_more_may_start(clock: Clock) -> None:
    clock.passes(5, a_second=1000, turn=0.02)
    clock.pace.started(clock.pace.allowed(200))
    assert clock.pace.allowed(200) == 0
    clock.now += clock.pace.wait + 0.001
    assert clock.pace.allowed(200) == 1


def test_when_there_is_room_again_the_rate_rises(clock: Clock) -> None:
    clock.passes(5, a_second=1000, turn=0.02)
    held_back = clock.pace.rate
    clock.passes(2, a_second=1000, turn=0.001)
    assert clock.pace.rate > 5 * held_back
    clock.passes(5, a_second=0, turn=0.02)
    assert clock.pace.allowed(200) == 200


def test_where_other_processes_have_the_processors_few_are_started_too(clock: Clock) -> None:
    """A worker that few requests reach shall not take from the one that many reach."""
    clock.passes(5, a_second=100, turn=0.0, waiting=0.3)
    assert clock.pace.rate < 20
    clock.passes(5, a_second=100, turn=0.0, waiting=0.01)
    assert clock.pace.rate > 500


def test_the_kernel_says_how_long_this_thread_has_waited() -> None:
    """On Linux; elsewhere it is nothing."""
    before = waited_for_processor()
    threads = [threading.Thread(target=lambda: sum(range(2_000_000))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waited_for_processor() >= before >= 0
