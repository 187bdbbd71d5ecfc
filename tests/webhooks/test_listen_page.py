"""GET /listen.py: the file, and what caches are told of it."""

import pytest
from django.test import Client

from tests.service import Service
from webhooks import listen_page


def test_it_is_one_file_that_knows_its_server(service: Service) -> None:
    answer = service.get("/listen.py")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/x-python; charset=utf-8")
    assert f'\nSERVER = "{service.url}"\n' in answer.text
    assert answer.text.replace(service.url, "", 1) == listen_page.FILE.read_text()
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_cache_asks_whether_it_is_still_the_same(service: Service) -> None:
    first = service.get("/listen.py")
    again = service.get("/listen.py", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["Cache-Control"] == "public, no-cache"


@pytest.mark.django_db
def test_an_address_is_written_as_python_would_read_it(client: Client) -> None:
    assert b'\nSERVER = "http://a\\"b\\\\n"\n' in listen_page.source('http://a"b\\n')
    assert client.post("/listen.py").status_code == 405
