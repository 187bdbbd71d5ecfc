"""The table of buckets: small, forgettable, and pruned by housekeeping."""

import threading
from datetime import timedelta

import pytest
from django.db import connection

from instantlite.config import Rate
from ratelimit import steps
from ratelimit.gcra import Charge
from ratelimit.models import Bucket
from ratelimit.stores import PostgresStore

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def value(question: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
    return row[0] if row else None


@pytest.mark.django_db
def test_the_table_is_unlogged_and_vacuumed_early() -> None:
    assert value("SELECT relpersistence FROM pg_class WHERE relname = 'ratelimit_bucket'") == "u"
    options = str(value("SELECT reloptions::text FROM pg_class WHERE relname = 'ratelimit_bucket'"))
    for option in ("fillfactor=50", "autovacuum_vacuum_scale_factor=0.0", "autovacuum_vacuum_threshold=2000"):
        assert option in options


@pytest.mark.django_db
def test_nothing_but_the_key_is_indexed() -> None:
    """An index on `tat` would make every charge write to it, and end HOT updates."""
    assert value("SELECT count(*) FROM pg_indexes WHERE tablename = 'ratelimit_bucket'") == 1


@pytest.mark.django_db
def test_pruning_deletes_full_buckets_and_no_others() -> None:
    store = PostgresStore()
    used = Charge("provisions", "used", Rate(1, DAY))
    rested = Charge("requests", "rested", Rate(1, SECOND))
    now = store.charge([used]).at
    store.charge([rested], now - 60_000_000)
    assert steps.prune() == "pruned 1 rate limit buckets"
    assert list(Bucket.objects.values_list("key", flat=True)) == [used.key]
    assert steps.prune() is None
    assert not store.charge([used]).allowed
    assert store.charge([rested]).allowed


@pytest.mark.django_db(transaction=True)
def test_a_bucket_that_is_pruned_under_a_charge_is_made_again() -> None:
    """Charges and pruning at the same time: nobody fails, and the limit holds."""
    store, stop, failures = PostgresStore(), threading.Event(), []
    charge = Charge("requests", "contended", Rate(1_000_000, SECOND))  # full again at once, so always prunable

    def pruning() -> None:
        try:
            while not stop.is_set():
                steps.prune()
        except Exception as error:  # noqa: BLE001 — reported by the assertion below
            failures.append(error)
        finally:
            connection.close()

    def charging() -> None:
        try:
            for _ in range(300):
                assert store.charge([charge]).allowed
        except Exception as error:  # noqa: BLE001
            failures.append(error)
        finally:
            connection.close()

    pruner = threading.Thread(target=pruning)
    chargers = [threading.Thread(target=charging) for _ in range(3)]
    for thread in (pruner, *chargers):
        thread.start()
    for thread in chargers:
        thread.join()
    stop.set()
    pruner.join()
    assert failures == []


@pytest.mark.django_db(transaction=True)
def test_a_hot_bucket_stays_on_its_page() -> None:
    """20,000 charges of ten buckets, each its own transaction: pruned as they go, without waiting for vacuum."""
    PostgresStore().charge([Charge("requests", f"hot{n}", Rate(1, DAY, burst=10**6)) for n in range(10)])
    with connection.cursor() as cursor:
        cursor.execute(
            "DO $$ BEGIN FOR i IN 1..20000 LOOP PERFORM ratelimit_charge(ARRAY['requests:hot' || i % 10, '1000000', "
            "'1000000000000'], clock_timestamp()); COMMIT; END LOOP; END $$"
        )
    size = value("SELECT pg_relation_size('ratelimit_bucket')")
    assert isinstance(size, int)
    assert size <= 20 * 8192


@pytest.mark.django_db(transaction=True)
def test_decisions_on_overlapping_rows_never_wait_for_each_other_for_ever() -> None:
    """Rows that are made at the same time included: a deadlock would be an error after a second."""
    store, failures = PostgresStore(), []
    barrier = threading.Barrier(6)

    def work(names: str) -> None:
        try:
            for number in range(60):
                barrier.wait(30)
                store.charge([Charge(name, f"new{number}", Rate(1, DAY, burst=50)) for name in names])
                connection.close()
        except Exception as error:  # noqa: BLE001 — reported by the assertion below
            failures.append(error)
            barrier.abort()
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(names,)) for names in ("a", "ab", "abc", "b", "bc", "ca")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
