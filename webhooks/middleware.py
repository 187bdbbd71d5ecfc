"""The receive URL, ahead of every middleware that pages and the API need.

A captured request has no session, no CSRF token and no limit per client, and may use any method and any path. Past all
of that, taking one in costs about a third; and nothing of Django's own gets to redirect, refuse or answer it.
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from webhooks import views
from webhooks.models.endpoints import RECEIVE_PATH


class ReceiveMiddleware:
    """Stands behind RecoveryMiddleware, which gives the request its id.

    receiver.py asks it ahead of Django's handler; among Django's middleware it is for tests, whose clients begin there.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(RECEIVE_PATH):
            return self.get_response(request)
        key = request.path_info[len(RECEIVE_PATH) :].partition("/")[0]
        answer = views.receive(request, key)
        # As CommonMiddleware does, or gunicorn would send it in chunks (RFC 9110, section 8.6: a 204 has none).
        if answer.status_code not in (204, 304):
            answer.headers.setdefault("Content-Length", str(len(answer.content)))
        return answer
