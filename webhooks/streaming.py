"""The API that waits: an inbox's requests as a stream of events, and a call that returns the next one."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instantlite import errors, platformdb, telemetry, wire
from instantlite.errors import ApiError
from instantlite.renderers import Negotiation, OwnParameters
from webhooks import api_docs, events, filters, stream, whole_events
from webhooks.events import Write
from webhooks.models import Endpoint
from webhooks.serializers import render_summary
from webhooks.viewsets import InboxViewSet

LONGEST_WAIT, DEFAULT_WAIT = 60, 30
_FULL_RETRY_SECONDS = 5
_ENDING_RETRY_SECONDS = 1
# For which a client may take in nothing of a stream that has something to say, a heartbeat for one.
_SILENCE_SECONDS = 30
# No proxy may hold an event back (nginx reads the last one).
_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@api_docs.described_streams
class StreamViewSet(InboxViewSet):
    """Waiting for requests."""

    def get_content_negotiator(self) -> Negotiation:
        return OwnParameters()

    @action(detail=True, methods=["get"])
    def events(self, request: Request, token: str) -> HttpResponseBase:
        """Server-sent events: `request` for each request as it comes, its summary as JSON, its id as the event's."""
        after, write = last_seen(request), _included(request)
        return answer(request._request, self.owned(token), after, write)

    @action(detail=True, methods=["get"])
    def wait(self, request: Request, token: str) -> Response:
        """Returns the next request as soon as it comes: at once where it has come already. `null`: none came."""
        after, seconds = _after(request, "timeout", "format"), _timeout(request)
        endpoint = self.owned(token)
        platformdb.let_go_of_connection()
        found = stream.wait(endpoint, after, seconds, lambda: wire.hung_up(request.META))
        return Response({"ok": True, "request": render_summary(found) if found else None})

    def as_error(self, exception: Exception) -> ApiError | None:
        return unavailable(exception) or super().as_error(exception)


def answer(
    request: HttpRequest, endpoint: Endpoint, after: UUID | None, write: Write = events.summaries
) -> HttpResponseBase:
    """The stream of an endpoint's requests, as `write` makes events of them. Raises stream.Full."""
    if request.method == "HEAD":
        return HttpResponse(headers=_HEADERS)
    # It may go on for a day, and holds none of the pool's connections.
    platformdb.let_go_of_connection()
    subscription = stream.hub.subscribe(endpoint, after)
    environ = request.META
    wire.bound_silence(environ, _SILENCE_SECONDS)
    return StreamingHttpResponse(
        events.EventStream(subscription, write, lambda: wire.hung_up(environ)), headers=_HEADERS
    )


def last_seen(request: Request) -> UUID | None:
    """What a client has seen: `Last-Event-ID`, which a browser sends as it comes again, before `after` of the URL."""
    in_url = _after(request, "lastEventId", "include")
    header = request.headers.get("Last-Event-ID", "")
    return filters.request_id("Last-Event-ID", header) if header else in_url


def unavailable(exception: Exception) -> ApiError | None:
    """What to do where no further stream is taken."""
    match exception:
        case stream.Full(of_inbox=True):
            telemetry.STREAMS_REFUSED.add(by="inbox")
            return _refusal(
                f"This inbox has {exception.most} event streams and waiting calls open, as many as one may have; close "
                "one, or send the request again after retry_after_seconds.",
                _FULL_RETRY_SECONDS,
            )
        case stream.Full():
            telemetry.STREAMS_REFUSED.add(by="process")
            return _refusal(
                "This server has as many event streams and waiting calls open as it takes. Send the request again "
                "after retry_after_seconds, or read GET …/requests from time to time.",
                _FULL_RETRY_SECONDS,
            )
        case stream.Ending():
            return _refusal(
                "This server is about to restart. Send the request again after retry_after_seconds, with the same "
                "`after`: nothing is missed.",
                _ENDING_RETRY_SECONDS,
            )
    return None


def _after(request: Request, *others: str) -> UUID | None:
    """The id in `after`, or in one of `others` that holds one. Raises ApiError for a parameter that nobody knows."""
    query = request.query_params
    filters.refuse_unknown(query, ("after", *others))
    given = [(name, query[name]) for name in ("after", "lastEventId") if query.get(name)]
    return filters.request_id(*given[0]) if given else None


def _included(request: Request) -> Write:
    """What each event holds: `include=message` asks for whole requests. Raises ApiError."""
    match request.query_params.get("include"):
        case None:
            return events.summaries
        case "message":
            return whole_events.write
    raise ApiError(errors.INVALID_REQUEST, 'include: must be "message", or be left out.')


def _refusal(message: str, retry_after: int) -> ApiError:
    return ApiError(errors.STREAMS_UNAVAILABLE, message, retry_after=retry_after)


def _timeout(request: Request) -> float:
    given = request.query_params.get("timeout", str(DEFAULT_WAIT))
    try:
        seconds = float(given)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ApiError(errors.INVALID_REQUEST, f"timeout: must be seconds, from 0 to {LONGEST_WAIT}.")
    return seconds
