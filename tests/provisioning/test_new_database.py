"""POST /db/new: one call, a database that works."""

import psycopg
import pytest
from rest_framework.test import APIClient

pytestmark = pytest.mark.usefixtures("platform")


def test_the_url_in_the_answer_opens_the_database(api: APIClient) -> None:
    answer = api.post("/db/new")
    assert answer.status_code == 201
    with psycopg.connect(answer.json()["connection_url"]) as tenant:
        tenant.execute("CREATE TABLE t (v vector(3))")
