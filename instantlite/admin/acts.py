"""What operators can do to a resource of any kind, and how the outcomes are told."""

from collections.abc import Callable
from datetime import datetime, timedelta

from django.contrib import messages

from instantlite.admin.actions import Act, Outcome, Row, refused

EXTENSION = timedelta(hours=24)

NOT_ACTIVE = refused("Left alone, it is not active")
AT_ITS_LONGEST = refused("Left alone, it lives for as long as limits.max_lifetime allows already")


def extended(expires_at: datetime | None) -> Outcome:
    """It expires then."""
    return Outcome(messages.SUCCESS, "Extended", f"expires {expires_at:%Y-%m-%d %H:%M:%S} UTC")


def extending(run: Callable[[Row], Outcome]) -> Act[Row]:
    """The act that moves an expiry by EXTENSION."""
    return Act(
        name="extend",
        title="Extend by 24 h",
        warning="The expiry moves by 24 hours, never past the longest lifetime that the configuration allows.",
        icon="more_time",
        run=run,
    )


def expiring(run: Callable[[Row], Outcome], warning: str) -> Act[Row]:
    """The act that ends a resource before its time."""
    return Act(name="expire", title="Expire now", warning=warning, icon="delete_forever", run=run, dangerous=True)
