"""The section of config.yaml on webhook inboxes."""

# ruff: noqa: RUF009 - option() is dataclasses.field() with the option's metadata

from dataclasses import dataclass
from datetime import timedelta

from instantlite.config.read import option
from instantlite.config.values import Duration, Integer


@dataclass(frozen=True)
class WebhooksConfig:
    """Webhook inboxes: what one keeps, and how requests are taken in and watched."""

    requests_stored: int = option(
        Integer(1, 1_000_000),
        100,
        "Newest requests an inbox keeps; housekeeping removes the older ones.",
    )
    queue: int = option(
        Integer(1, 100_000),
        1000,
        "Requests of one process that may wait to be stored; beyond it a sender is told to come back.",
    )
    queue_mb: int = option(
        Integer(1, 4096),
        32,
        "Megabytes (10^6 bytes) of bodies that those may hold together, because they wait in memory.",
    )
    patience: timedelta = option(
        Duration("1s", "30s"),
        timedelta(seconds=4),
        "Longest a sender waits for its request to be stored, after which a 503 makes it try again.",
    )
    delayed_answers: int = option(
        Integer(0, 10_000),
        200,
        "Answers of one process that may be held back at once by their inbox's delay; further ones are sent at once.",
    )
    streams: int = option(
        Integer(1, 100_000),
        2000,
        "Event streams and waiting calls that one process holds open; each is a connection.",
    )
    streams_per_inbox: int = option(
        Integer(1, 100_000),
        50,
        "Those of one inbox in one process, so that nobody can take them all.",
    )
