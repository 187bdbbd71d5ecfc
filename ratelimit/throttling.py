"""Charging a request: what a view calls, and the throttle that DRF calls for views that do not."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from instantlite import errors, telemetry
from instantlite.config import Rate
from instantlite.logs import first_line
from ratelimit import clients, limits, stores
from ratelimit.gcra import Decision
from ratelimit.limits import Limit

if TYPE_CHECKING:
    from rest_framework.views import APIView  # which loads this module, as its default throttle

log = logging.getLogger("instantlite.ratelimit")

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "charges_itself"
_ATTRIBUTE = "ratelimit_decision"
_GIVEN_BACK = tuple(limit.name for limit in limits.LIMITS.values() if limit.given_back)


@dataclass
class Receipt:
    """What a request was charged. give_back() returns the part of it that is given back, once.

    In a `with` block, an exception does: the caller got nothing.
    """

    request: HttpRequest
    decision: Decision | None

    def __enter__(self) -> "Receipt":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and issubclass(kind, Exception):
            self.give_back()

    def give_back(self) -> None:
        """Returns the charge for something that was not delivered after all. A store that is away keeps it.

        The answer then says nothing of that limit: where it stands now has not been asked.
        """
        if self.decision is None:
            return
        returned = self.decision.only(_GIVEN_BACK)
        setattr(self.request, _ATTRIBUTE, self.decision.without(_GIVEN_BACK))
        self.decision = None
        if not returned.outcomes:
            return
        try:
            stores.store.give_back(returned)
        except DatabaseError as error:
            log.info("a charge could not be given back: %s", first_line(error))


def charge(request: HttpRequest, *wanted: Limit) -> Receipt:
    """Charges the client of a request for all of `wanted` in one decision.

    Raises ApiError `rate_limited`; django.db.Error when no store answers.
    """
    # Once for each request, whatever comes of it: a database that does not answer is not waited for twice.
    setattr(request, _ATTRIBUTE, None)
    partition = clients.identify(request).fingerprint
    charges = [charge for limit in wanted if (charge := limit.charge(partition))]
    if not charges:
        return Receipt(request, None)
    decision = stores.store.charge(charges)
    setattr(request, _ATTRIBUTE, decision)
    _count(decision)
    if decision.denied_by:
        denied = decision.denied_by.charge
        raise refusal(limits.LIMITS[denied.limit], denied.rate, decision.retry_after_seconds)
    return Receipt(request, decision)


def decision_of(request: HttpRequest) -> Decision | None:
    """What was decided for a request, for its headers."""
    decision: Decision | None = getattr(request, _ATTRIBUTE, None)
    return decision


def was_charged(request: HttpRequest) -> bool:
    """Whether a request has been charged yet, be it that its limits are lifted."""
    return hasattr(request, _ATTRIBUTE)


def refusal(limit: Limit, rate: Rate, retry_after: int) -> errors.ApiError:
    """429 in words: which limit, how much it allows, what to do. `retry_after` is in seconds."""
    return errors.ApiError(
        errors.RATE_LIMITED,
        f"The limit '{limit.name}' is reached: {rate.words}, for each {limit.per} ({limit.says}). "
        f"Send the request again in {_in_words(retry_after)}.",
        retry_after=retry_after,
    )


def _in_words(seconds: int) -> str:
    """`40 s`, `5 min`, `4 h 48 min`; rounded up to what is shown."""
    if seconds < 120:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    hours, minutes = divmod(minutes, 60)
    return " ".join(part for part in (f"{hours} h" if hours else "", f"{minutes} min" if minutes else "") if part)


def _count(decision: Decision) -> None:
    denied = decision.denied_by
    for outcome in (denied,) if denied else decision.outcomes:
        telemetry.RATELIMIT_DECISIONS.add(limit=outcome.charge.limit, outcome="denied" if denied else "allowed")


def charges_itself(view: View) -> View:
    """Marks an action that calls charge() once it knows what to charge: a body that is refused costs no database."""
    setattr(view, _MARK, True)
    return view


class RequestThrottle(BaseThrottle):
    """DRF's throttle of every API view: one request, charged before anything is done for it."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        """True, or ApiError `rate_limited` is raised: it says more than DRF's own answer."""
        action = getattr(view, getattr(view, "action", None) or "", None)
        if getattr(action, _MARK, False):
            return True
        try:
            charge(request._request, limits.REQUESTS)
        except (OperationalError, InterfaceError):
            # No store answers: a view that says it needs no database is served all the same.
            if getattr(view, "needs_database", True):
                raise
        return True
