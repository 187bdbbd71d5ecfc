"""What the streams of one endpoint share: its newest requests, read once for all of them.

A feed's tail is written by one thread (the hub's) and replaced as a whole, so that any number of readers need no lock.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID

from webhooks.models import CapturedRequest

# Turns a request into what is sent. Give the same function for all streams that send the same: its result is kept.
Render = Callable[[CapturedRequest], bytes]

# Forms in which one event is kept: JSON and the page's HTML.
_MOST_FORMS = 4


class Entry:
    """One request, and the bytes that were made of it."""

    __slots__ = ("_rendered", "captured")

    def __init__(self, captured: CapturedRequest) -> None:
        self.captured = captured
        self._rendered: dict[Render, bytes] = {}

    @property
    def id(self) -> UUID:
        return self.captured.id

    def rendered(self, render: Render) -> bytes:
        """What `render` makes of it; made once for all streams."""
        made = self._rendered.get(render)
        if made is None:
            made = render(self.captured)
            if len(self._rendered) < _MOST_FORMS:
                self._rendered[render] = made
        return made


class Tail(NamedTuple):
    """Every request whose id is after `floor` and up to `upto`, in order.

    Within an endpoint the order of ids is the order of commits, so that nothing will come up before `upto` any more.
    """

    floor: UUID
    upto: UUID
    entries: tuple[Entry, ...] = ()

    def after(self, cursor: UUID) -> Sequence[Entry] | None:
        """Those after `cursor`; None where it is before the floor, so that there may be others."""
        if cursor < self.floor:
            return None
        return self.entries[bisect_right(self.entries, cursor, key=lambda entry: entry.id) :]

    def longer(self, entries: Sequence[Entry]) -> "Tail":
        return Tail(self.floor, entries[-1].id, (*self.entries, *entries))

    def shorter(self, count: int) -> "Tail":
        """Without the oldest `count`, of which there is one at least."""
        return Tail(self.entries[count - 1].id, self.upto, self.entries[count:])


class Feed:
    """One endpoint's. `streams` is counted by the hub; `gone`: the endpoint is no more; `closing`: the process ends."""

    def __init__(self, endpoint_id: UUID, start: UUID) -> None:
        """`start`: an id that no request which is not committed yet can be before."""
        self.endpoint_id = endpoint_id
        self.tail = Tail(start, start)
        self.changed = threading.Event()
        # One stream at a time verifies what all of them show.
        self.verifying = threading.Lock()
        self.streams = 0
        self.gone = False
        self.closing = False

    def extend(self, entries: Sequence[Entry]) -> None:
        """By the hub's thread alone: requests that follow on the tail."""
        self.tail = self.tail.longer(entries)
        self.wake()

    def forget(self, count: int) -> None:
        """By the hub's thread alone: so many of the oldest, which are there."""
        self.tail = self.tail.shorter(count)

    def end(self) -> None:
        self.gone = True
        self.wake()

    def close(self) -> None:
        self.closing = True
        self.wake()

    def wake(self) -> None:
        """Everybody who waits looks again. Who takes `changed` before looking misses nothing."""
        changed, self.changed = self.changed, threading.Event()
        changed.set()
