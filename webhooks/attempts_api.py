"""`POST /webhook/{token}/attempts`: a listening client says what became of requests that it was given."""

from rest_framework.request import Request
from rest_framework.response import Response

from instantlite.fields import parse
from webhooks import api_docs, reports
from webhooks.attempt_fields import ReportedAttempts
from webhooks.reports import Report
from webhooks.viewsets import InboxViewSet


@api_docs.described_attempts
class AttemptViewSet(InboxViewSet):
    """What listening clients did."""

    def create(self, request: Request, token: str) -> Response:
        """Keeps each as a delivery of its request. `unknown` are the ids of requests that are not here (any more)."""
        endpoint = self.owned(token)
        told = [Report(**attempt) for attempt in parse(request, ReportedAttempts)["attempts"]]
        unknown = reports.keep(endpoint, told)
        return Response({"ok": True, "unknown": reports.unknown_in_order(told, unknown)})
