"""Admin as an operator calls it, without a socket between."""

from typing import Any
from uuid import UUID

from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

ENDPOINTS = "/admin/webhooks/endpoint/"
CAPTURES = "/admin/webhooks/capturedrequest/"


def html(operator: Client, path: str, **query: str) -> str:
    answer = operator.get(path, query)
    assert answer.status_code == 200, path
    return answer.content.decode()


def shown(operator: Client, path: str, **query: str) -> list[str]:
    """The ids of the rows of a list."""
    return [str(row.pk) for row in operator.get(path, query).context["cl"].result_list]


def said(answer: Any) -> str:
    """The messages on a page."""
    return " ".join(str(message) for message in answer.context["messages"])


def logged(object_id: str | UUID) -> list[str]:
    """What the admin log holds of an object."""
    return [entry.change_message for entry in LogEntry.objects.filter(object_id=str(object_id))]


def choose(operator: Client, path: str, action: str, *ids: str, confirmed: bool) -> Any:
    """What a list's menu sends, before and after the confirmation."""
    form: dict[str, Any] = {"action": f"{action}_selected", "_selected_action": list(ids)}
    return operator.post(path, form | ({"confirmed": "yes"} if confirmed else {}), follow=True)


def statements(operator: Client, path: str, **query: str) -> list[str]:
    """What a page asks of PostgreSQL."""
    with CaptureQueriesContext(connection) as seen:
        html(operator, path, **query)
    return [asked["sql"] for asked in seen.captured_queries]
