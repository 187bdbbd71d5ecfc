"""Admin over a long table: as many statements as over a short one, and each over an index."""

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from instantlite.admin.lists import BoundedPaginator
from provisioning.models import Cluster, Database
from tests.plans import explain

pytestmark = pytest.mark.usefixtures("platform")

LIST = "/admin/provisioning/database/"

_TOMBSTONES = """
INSERT INTO provisioning_database (id, name, fingerprint, state, created_at, expires_at, gone_at, cluster_id, db_name,
    recipe, generation, applied_generation, storage_mb, connections, tries, last_error)
SELECT gen_random_uuid(), 'tomb-' || i, md5(i::text)::varchar(22), 'gone', t, t + interval '1 h', t + interval '1 h',
    %(cluster)s, 'tomb_' || i, 'r', 0, 0, 100, 10, 0, ''
FROM (SELECT i, now() - i * interval '10 s' AS t FROM generate_series(%(first)s::int, %(last)s::int) AS i) AS old
"""


def bury(first: int, last: int) -> None:
    """Tombstones by the thousand, and statistics that know of them."""
    values: dict[str, str | int] = {"cluster": Cluster.objects.get().name, "first": first, "last": last}
    with connection.cursor() as cursor:
        cursor.execute(_TOMBSTONES, values)
        cursor.execute("ANALYZE provisioning_database")


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


def statements(operator: Client, path: str) -> list[str]:
    with CaptureQueriesContext(connection) as seen:
        assert operator.get(path).status_code == 200
    return [query["sql"] for query in seen.captured_queries]


@pytest.mark.parametrize("query", ["", "?q=tomb-1", "?state__exact=gone", "?expiry=expired", "?owner=a"])
def test_the_list_asks_as_often_of_many_rows_as_of_few(operator: Client, query: str) -> None:
    bury(1, 3)
    few = statements(operator, LIST + query)
    bury(4, 5_000)
    assert len(statements(operator, LIST + query)) == len(few) <= 6


def test_the_list_walks_the_primary_key_and_sorts_nothing(operator: Client) -> None:
    bury(1, 5_000)
    (rows,) = [sql for sql in statements(operator, LIST) if "ORDER BY" in sql and "provisioning_database" in sql]
    plan = explain(rows)
    assert "provisioning_database_pkey" in {node.get("Index Name") for node in plan}
    assert not {"Sort", "Seq Scan"} & {node["Node Type"] for node in plan}


def test_nothing_counts_past_the_bound(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedPaginator, "most", 60)
    bury(1, 500)
    answer = operator.get(LIST)
    assert answer.context["cl"].result_count == 60
    assert "the first 60; search or filter to reach the others" in answer.content.decode()
    counts = [sql for sql in statements(operator, LIST) if "COUNT(" in sql]
    assert len(counts) == 1
    assert "LIMIT 61" in counts[0]


def test_the_list_reads_no_column_with_a_mac(operator: Client) -> None:
    bury(1, 3)
    assert Database.objects.count() == 3
    assert not [sql for sql in statements(operator, LIST) if "idempotency_mac" in sql]
