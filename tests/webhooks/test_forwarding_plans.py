"""What sending on costs PostgreSQL where there is much of it, and what it costs an inbox that sends nothing on."""

import re
from typing import Any

import pytest
from django.db import connection

from instantlite.resource import Wish
from tests import plans
from tests.webhooks import moments, sending
from tests.webhooks.moments import destination
from webhooks import delivery_lists
from webhooks.models import Delivery, Endpoint
from webhooks.writer import Writer

DESTINATIONS, DONE, WAITING = 300, 60, 4
# So many deliveries of each destination are done, or wait: all with ids in the order of time.
_FILL = """
INSERT INTO webhooks_delivery (id, endpoint_id, request_id, destination_id, url, origin, state, attempts, tries,
    created_at, next_at, until, note)
SELECT webhooks_uuid7(1700000000000000 + n), d.endpoint_id, gen_random_uuid(), d.id, '', 'forward',
    CASE WHEN n > %(done)s THEN 'pending' ELSE 'delivered' END, 0, 0, now(), now(), now() + interval '1 d', ''
FROM webhooks_destination d, generate_series(1, %(done)s + %(waiting)s) n
"""


@pytest.fixture
def filled(transactional_db: None) -> Endpoint:
    """Many inboxes with destinations, one of which is due; the endpoint of that one."""
    for _ in range(DESTINATIONS):
        destination(sending.endpoint(), wake_at=None)
    with connection.cursor() as cursor:
        cursor.execute(_FILL, {"done": DONE, "waiting": WAITING})
        cursor.execute("ANALYZE webhooks_delivery, webhooks_destination, webhooks_endpoint")
        cursor.execute(
            "UPDATE webhooks_destination SET wake_at = now() WHERE id = (SELECT id FROM webhooks_destination LIMIT 1)"
            " RETURNING endpoint_id"
        )
        row: Any = cursor.fetchone()
    return Endpoint.objects.get(pk=row[0])


def rows_read() -> int:
    """Of deliveries, since the last time, in this session: those that scans of the table or its indexes have given."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute(
            "SELECT seq_tup_read + coalesce(idx_tup_fetch, 0) FROM pg_stat_user_tables"
            " WHERE relname = 'webhooks_delivery'"
        )
        row: Any = cursor.fetchone()
    return int(row[0])


def test_a_claim_looks_at_what_waits_for_destinations_that_are_due(filled: Endpoint) -> None:
    with moments.hands() as ours:
        before = rows_read()
        assert len(ours.later().claim(told=False)) == 1
        ours.connection.close()
    assert rows_read() - before < 10 * WAITING


def indexes(queryset: Any) -> set[str]:
    sql, parameters = queryset.query.sql_with_params()
    with connection.cursor() as cursor:
        text = cursor.mogrify(sql, parameters)
    found = plans.explain(text.decode() if isinstance(text, bytes) else text)
    assert "Seq Scan" not in {node["Node Type"] for node in found}
    return {node["Index Name"] for node in found if "Index Name" in node}


def test_lists_read_their_indexes(filled: Endpoint) -> None:
    newest = Delivery.objects.filter(endpoint_id=filled.pk).order_by("-id")[:51]
    assert indexes(newest) == {"delivery_of_endpoint"}
    request_id = newest[0].request_id
    assert indexes(Delivery.objects.of(filled.pk, request_id)) == {"delivery_of_request"}
    rows, more = delivery_lists.read(filled, delivery_lists.DeliveryPage(limit=50))
    assert len(rows) == 50
    assert more


def test_an_inbox_without_destinations_costs_one_statement_a_batch(
    transactional_db: None, statements: list[str]
) -> None:
    endpoint = Endpoint.objects.start(Wish(fingerprint=""))
    writer = Writer()
    try:
        writer.write([sending.capture(endpoint.pk)], None)
        del statements[:]
        writer.write([sending.capture(endpoint.pk)] * 20, None)
    finally:
        writer.close()
    assert len(statements) == 1
    assert re.search("webhooks_capture", statements[0])
