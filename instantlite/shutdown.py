"""What is to be told when this process has been asked to end: long answers, which would otherwise hold it up."""

import logging
from collections.abc import Callable

log = logging.getLogger("instantlite.shutdown")

_callbacks: list[Callable[[], None]] = []


def register(callback: Callable[[], None]) -> None:
    """Called by each app as it becomes ready; once for each callback."""
    if callback not in _callbacks:
        _callbacks.append(callback)


def begin() -> None:
    """Calls each of them, in order. May be called again; never from within a signal handler: callbacks may lock."""
    for callback in _callbacks:
        try:
            callback()
        except Exception:
            log.exception("%r failed as the process is to end", callback)
