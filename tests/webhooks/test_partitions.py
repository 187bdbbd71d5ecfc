"""A day is a table: there ahead of its time, gone when nobody can ask for it."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from instantlite.resource import State
from tests.webhooks import sending
from tests.webhooks.days import DAY, ask, closing, existing, make, midnight, name_of, now, reading, take_in, today
from tests.webhooks.sending import capture, stored
from webhooks import partitions
from webhooks.endpoints import finish_one
from webhooks.ingest import Ingest
from webhooks.models import Endpoint

pytestmark = pytest.mark.usefixtures("_days_as_they_were")

PARENT = partitions.PARENT
COMING = range(partitions.DAYS_AHEAD + 1)


def table_of(endpoint: Endpoint) -> list[str]:
    """The table of each of its requests, in their order."""
    where = "SELECT tableoid::regclass::text FROM webhooks_capturedrequest WHERE endpoint_id = %s ORDER BY id"
    return [row[0] for row in ask(where, endpoint.pk)]


def days_in(said: str | None) -> list[str]:
    """The days that a step says it has seen to."""
    return re.findall(r"\d{4}-\d\d-\d\d", said or "")


class TestAhead:
    def test_today_and_the_days_that_follow_are_made_once(self) -> None:
        missing = [name_of(today() + ahead * DAY) for ahead in (1, 3)]
        for table in missing:
            ask(f"DROP TABLE {table}")
        assert days_in(partitions.make_ahead()) == [str(today() + ahead * DAY) for ahead in (1, 3)]
        assert partitions.make_ahead() is None
        known = {one.name: one for one in partitions.partitions()}
        assert all(known[name_of(today() + ahead * DAY)].attached for ahead in COMING)

    def test_several_instances_make_them_at_once(self) -> None:
        for ahead in COMING:
            ask(f"DROP TABLE {name_of(today() + ahead * DAY)}")
        with ThreadPoolExecutor(4) as pool:
            said = list(pool.map(lambda _: closing(partitions.make_ahead), range(4)))
        made = [day for one in said for day in days_in(one)]
        assert sorted(made) == [str(today() + ahead * DAY) for ahead in COMING]
        assert {name_of(today() + ahead * DAY) for ahead in COMING} <= existing()

    def test_neither_a_reader_nor_a_capture_in_the_middle_is_waited_for(self, endpoint: Endpoint) -> None:
        ask(f"DROP TABLE {name_of(today() + DAY)}")
        with reading() as reader:
            reader.execute("SELECT * FROM webhooks_endpoint FOR UPDATE")
            reader.execute(
                f"INSERT INTO {PARENT} SELECT webhooks_uuid7(0), gen_random_uuid(), now(), '', '', '', '', NULL, 0,"
                " false, '[]', '' WHERE false".encode()
            )
            ask("SET lock_timeout = '2s'")
            try:
                assert partitions.make_ahead()
            finally:
                ask("RESET lock_timeout")

    def test_a_missing_today_is_mended_by_whoever_captures(self, ingest: Ingest, endpoint: Endpoint) -> None:
        ask(f"DROP TABLE {name_of(today())}")
        assert ingest.submit(capture(endpoint.pk)).outcome == "stored"
        assert table_of(endpoint) == [name_of(today())]

    def test_by_several_of_them_too(self, endpoint: Endpoint) -> None:
        ask(f"DROP TABLE {name_of(today())}")
        queues = [Ingest() for _ in range(4)]
        with ThreadPoolExecutor(4) as pool:
            outcomes = list(pool.map(lambda one: one.submit(capture(endpoint.pk)).outcome, queues))
        for one in queues:
            one.stop()
        assert outcomes == ["stored"] * 4
        assert len(stored(endpoint.pk)) == 4


def test_around_midnight_each_request_is_in_its_own_day() -> None:
    endpoint = sending.endpoint(expires_at=midnight(3))
    last = timedelta(milliseconds=1)
    take_in(midnight(1) - last, endpoint.pk)
    take_in(midnight(1), endpoint.pk)
    take_in(midnight(2) - last, endpoint.pk)
    # One batch whose ids go past midnight.
    take_in(midnight(2) - timedelta(microseconds=2), *[endpoint.pk] * 5)
    first, second, third = (name_of(today() + ahead * DAY) for ahead in range(3))
    assert table_of(endpoint) == [first, second, second, second, second, third, third, third]


class TestOver:
    """Of the days that are over, which are dropped."""

    @pytest.fixture
    def old(self) -> str:
        """The table of a day that ended nine days ago."""
        return make(today() - 10 * DAY)

    @pytest.mark.parametrize(
        ("born", "state", "kept"),
        [
            (-10 * DAY, State.ACTIVE, True),
            (-9 * DAY - timedelta(microseconds=1), State.ACTIVE, True),
            (-9 * DAY, State.ACTIVE, False),
            (-10 * DAY, State.DROPPING, True),
            (-10 * DAY, State.GONE, False),
        ],
    )
    def test_that_which_a_living_inbox_may_have_requests_in_is_kept(
        self, old: str, born: timedelta, state: State, kept: bool
    ) -> None:
        sending.endpoint(created_at=midnight() + born, state=state)
        sending.endpoint()
        assert (partitions.drop_one() is None) is kept
        assert (old in existing()) is kept

    def test_one_that_was_extended_keeps_its_first_day_until_it_ends(self, old: str) -> None:
        inbox = sending.endpoint(created_at=midnight(-10), expires_at=now() + timedelta(hours=1))
        take_in(midnight(-10) + timedelta(hours=5), inbox.pk)
        assert Endpoint.objects.all().extend(inbox.pk, 2 * DAY, 30 * DAY)
        assert partitions.drop_one() is None
        Endpoint.objects.filter(pk=inbox.pk).update(expires_at=now())
        assert partitions.drop_one() is None  # over, and not taken out of use yet
        Endpoint.objects.all().expire_due()
        assert partitions.drop_one() == f"dropped the requests of {today() - 10 * DAY}"
        assert old not in existing()

    def test_one_whose_requests_are_being_deleted_is_waited_for(self, old: str) -> None:
        inbox = sending.endpoint(created_at=midnight(-10))
        take_in(midnight(-10), inbox.pk)
        Endpoint.objects.all().end(inbox.pk)
        assert partitions.drop_one() is None
        assert finish_one()
        assert partitions.drop_one()

    def test_yesterday_is_left_alone_for_the_batches_that_began_before_midnight(self) -> None:
        """Seen from any moment of today: the day is over for five minutes at least."""
        make(today() - DAY)
        dropped = partitions.drop_one()
        assert bool(dropped) is (now() - midnight() >= timedelta(minutes=5))

    def test_the_oldest_goes_first_and_one_at_a_time(self, old: str) -> None:
        make(today() - 12 * DAY)
        said = [partitions.drop_one() for _ in range(3)]
        assert said == [*(f"dropped the requests of {today() - days * DAY}" for days in (12, 10)), None]

    def test_coming_days_are_never_dropped(self) -> None:
        partitions.make_ahead()
        assert partitions.drop_one() is None
        assert {name_of(today() + ahead * DAY) for ahead in COMING} <= existing()

    def test_nothing_else_that_is_named_alike_is_touched(self, old: str) -> None:
        alike = [
            f"{PARENT}_20200101_copy",
            f"{PARENT}_2020010",
            f"{PARENT}_202001011",
            f"my_{PARENT}_20200101",
            f"{PARENT}_20201399",
            f"{PARENT}_20200001",
        ]
        for table in alike:
            ask(f"CREATE TABLE {table} (x int)")
        ask("CREATE SCHEMA elsewhere")
        ask(f"CREATE TABLE elsewhere.{PARENT}_20200101 (x int)")
        ask("CREATE TABLE others (x int) PARTITION BY RANGE (x)")
        ask(f"CREATE TABLE {PARENT}_20200102 PARTITION OF others DEFAULT")
        ask(f"CREATE VIEW {PARENT}_20200103 AS SELECT 1")
        try:
            while partitions.drop_one():
                pass
            assert old not in existing()
            assert {*alike, f"{PARENT}_20200101", f"{PARENT}_20200102", f"{PARENT}_20200103"} <= existing()
        finally:
            ask(f"DROP VIEW {PARENT}_20200103")
            ask("DROP SCHEMA elsewhere CASCADE")
            for table in [*alike, "others"]:
                ask(f"DROP TABLE {table}")
