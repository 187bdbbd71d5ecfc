"""The page of an inbox as a browser without a script has it, without a socket between."""

import re
from typing import Any

import pytest
from django.test import Client

from tests.webhooks.inbox import Inbox

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'><b hx-get=/evil>"
BROWSER = {"Accept": "text/html"}


@pytest.fixture
def client() -> Client:
    """Forms need their token, as they do in a browser."""
    return Client(enforce_csrf_checks=True)


def shown(client: Client, inbox: Inbox, path: str = "", status: int = 200, **headers: str) -> str:
    """The page at a path below the inbox's."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.get(f"/webhooks/{inbox.token}{path}", headers={**BROWSER, **named})
    assert answer.status_code == status, answer.content
    return answer.content.decode()


def form(client: Client, inbox: Inbox, place: str, /, **fields: Any) -> Any:
    """A form as a browser sends it: with the token that the page holds."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown(client, inbox))
    assert token
    return client.post(f"/webhooks/{inbox.token}{place}", {"csrfmiddlewaretoken": token[1], **fields}, headers=BROWSER)
