"""The receive URL, ahead of Django's own handler.

What that does around each request costs as much as taking one in: it sends signals that look after database
connections, which a sender's request has none of, and resolves a path that is known. Here a request passes
RecoveryMiddleware, as every other does, and nothing else.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

from django.core.handlers.exception import convert_exception_to_response
from django.core.handlers.wsgi import WSGIRequest
from django.http import HttpRequest, HttpResponse

from instantlite.recovery import RecoveryMiddleware
from webhooks.middleware import ReceiveMiddleware
from webhooks.models.endpoints import RECEIVE_PATH

Environ = dict[str, Any]
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]
View = Callable[[HttpRequest], HttpResponse]


class Receiver:
    """A WSGI application that answers requests to a receive URL, and hands every other one to `application`."""

    def __init__(self, application: Application) -> None:
        self._application = application
        # As Django wraps each of its middlewares: an exception inside one is an answer to the one around it.
        receive = convert_exception_to_response(ReceiveMiddleware(_never))
        self._answer = convert_exception_to_response(RecoveryMiddleware(cast(View, receive)))

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        if not environ["PATH_INFO"].startswith(RECEIVE_PATH):
            return self._application(environ, start_response)
        answer = cast(HttpResponse, self._answer(WSGIRequest(environ)))
        start_response(f"{answer.status_code} {answer.reason_phrase}", list(answer.items()))
        return [answer.content]


def _never(request: HttpRequest) -> HttpResponse:
    raise AssertionError("the path was looked at before")
