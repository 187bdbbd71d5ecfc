"""The two ways in which a request does not get out or stays without an answer, and the time that it may take."""

from time import monotonic


class Refused(Exception):
    """It is never sent, and trying again will not help; `str()` is a sentence for whoever owns the destination."""


class Failed(Exception):
    """It was tried, and no answer came; trying again may help. `str()` says why in words.

    `duration_ms`: milliseconds from the start to the failure.
    """

    duration_ms: float = 0.0


class Deadline:
    """The moment until which everything has to be over, on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._at = monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds until then; 0 or less when it has passed."""
        return self._at - monotonic()

    def part(self, most: float) -> "Deadline":
        """One that comes after at most so many seconds, and not after this one."""
        return Deadline(min(most, self.left))

    def check(self) -> None:
        """Raise TimeoutError when it has passed."""
        if self.left <= 0:
            raise TimeoutError

    def __str__(self) -> str:
        return f"{self.seconds:g} s"
