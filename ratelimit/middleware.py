"""The RateLimit fields of every limited answer, and the limit of requests for whatever is no API view.

Fields as in draft-ietf-httpapi-ratelimit-headers, version 09: `RateLimit-Policy` states each policy, `RateLimit` where
this client stands. A policy's quota is what the bucket holds, its window how long it takes to fill: 10 a second up to
20 at once is 20 in 2 seconds.
"""

import base64
from collections.abc import Callable
from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse

from instantlite import errors, keys
from ratelimit import limits, throttling
from ratelimit.gcra import MICROSECONDS, Charge, Decision

# Probes come from the machines that keep the service running, often, and all from one address.
UNLIMITED = frozenset({"livez", "readyz", "healthz"})


class RateLimitMiddleware:
    """Stands behind WhiteNoise: files from static/ come out of memory and are not limited."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        answer = self.get_response(request)
        if not throttling.was_charged(request) and not _is_probe(request):
            # No path, or refused by DRF before its throttle was asked.
            answer = self._refused(request) or answer
        decision = throttling.decision_of(request)
        if decision:
            _add_fields(answer, decision)
        return answer

    def process_view(
        self, request: HttpRequest, view: Callable[..., Any], args: Any, kwargs: Any
    ) -> HttpResponse | None:
        """Called by Django before the view. DRF's views have a throttle of their own."""
        if hasattr(view, "cls") or _is_probe(request):
            return None
        return self._refused(request)

    def _refused(self, request: HttpRequest) -> HttpResponse | None:
        """429 for a client beyond its limit of requests, else None."""
        try:
            throttling.charge(request, limits.REQUESTS)
        except errors.ApiError as error:
            return errors.answer(request, error)
        except (OperationalError, InterfaceError):
            # No store answers. Pages that need no database go on; those that do say 503 by themselves.
            return None
        return None


def _is_probe(request: HttpRequest) -> bool:
    match = request.resolver_match
    return match is not None and match.url_name in UNLIMITED


def _add_fields(answer: HttpResponse, decision: Decision) -> None:
    policies, states = [], []
    for outcome in sorted(decision.outcomes, key=lambda outcome: outcome.charge.limit):
        charge = outcome.charge
        name, key = f'"{charge.limit}"', f"pk={_partition_key(charge)}"
        window = -(-charge.tolerance // MICROSECONDS)
        policies.append(f"{name};q={charge.rate.capacity};w={window};{key}")
        states.append(f"{name};r={outcome.remaining};t={outcome.reset_seconds};{key}")
    if not policies:
        return
    answer["RateLimit-Policy"] = ", ".join(policies)
    answer["RateLimit"] = ", ".join(states)


def _partition_key(charge: Charge) -> str:
    """A Byte Sequence (RFC 9651, section 3.3.5) that tells partitions apart, and neither address nor fingerprint."""
    return f":{base64.b64encode(keys.derive('partition', charge.key)[:9]).decode()}:"
