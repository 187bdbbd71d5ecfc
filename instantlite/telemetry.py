"""Every metric by name. Values live in this process, where exporters and tests read them.

Labels take few values, all of them ours: never a token, an address or a fingerprint.
"""

import threading
from collections import Counter as Counts
from collections.abc import Mapping


class Counter:
    """Something that is counted and only ever grows, for each combination of its labels."""

    def __init__(self, name: str, says: str, *labels: str) -> None:
        self.name = name
        self.says = says
        self.labels = labels
        self._counts: Counts[tuple[str, ...]] = Counts()
        self._lock = threading.Lock()

    def add(self, number: int = 1, **labels: str) -> None:
        """Counts so many more. Raises KeyError where a label is missing."""
        key = tuple(labels[name] for name in self.labels)
        with self._lock:
            self._counts[key] += number

    def total(self, **labels: str) -> int:
        """The sum over all combinations that have these values."""
        wanted = [labels.get(name) for name in self.labels]
        with self._lock:
            return sum(
                count
                for key, count in self._counts.items()
                if all(want in (None, value) for want, value in zip(wanted, key, strict=True))
            )

    def values(self) -> Mapping[tuple[str, ...], int]:
        """The count of each combination of labels, in the order of `labels`."""
        with self._lock:
            return dict(self._counts)


class UpDownCounter(Counter):
    """Something of which there is more or less: add() takes negative numbers too."""


RATELIMIT_DECISIONS = Counter(
    "instantlite.ratelimit.decisions",
    "Charges that were decided, by limit and by what became of them (allowed, denied).",
    "limit",
    "outcome",
)
RATELIMIT_STORE = Counter(
    "instantlite.ratelimit.store", "Decisions by the store that took them (redis, postgresql).", "store"
)
REDIS_SWITCHES = Counter(
    "instantlite.redis.switches",
    "Changes of side: to postgresql when Redis failed, to redis when it answered again.",
    "to",
)

CAPTURES = Counter(
    "instantlite.captures",
    "Requests to webhook inboxes by what became of them (stored, limited, gone, unknown, busy, away).",
    "outcome",
)
CAPTURE_BATCHES = Counter("instantlite.captures.batches", "Statements that stored requests: many share one commit.")

STREAMS = UpDownCounter(
    "instantlite.streams",
    "Event streams (events) and waiting calls (wait) of webhook inboxes that are open now.",
    "kind",
)
STREAMS_REFUSED = Counter(
    "instantlite.streams.refused",
    "Of those, the ones that were refused because as many were open as one may have (inbox, process).",
    "by",
)
DELIVERIES = Counter(
    "instantlite.deliveries",
    "Attempts to send captured requests on, by what became of the delivery (delivered, pending, dead, skipped).",
    "outcome",
)

METRICS = {metric.name: metric for metric in list(globals().values()) if isinstance(metric, Counter)}
