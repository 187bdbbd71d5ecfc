"""How often something may happen, as the configuration writes it: `10/s burst 20`, `5/d`, `off`."""

import re
from dataclasses import dataclass
from datetime import timedelta

from instantlite.config.duration import LONGEST_DURATION
from instantlite.config.values import BadValue, Kind, as_text

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_IN_WORDS = {
    timedelta(seconds=1): "a second",
    timedelta(minutes=1): "a minute",
    timedelta(hours=1): "an hour",
    timedelta(days=1): "a day",
}
_RATE = re.compile(r"([0-9]{1,9}) ?/ ?([smhd])(?: +burst +([0-9]{1,9}))?")
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Rate:
    """`count` in every `period`, and up to `burst` of them at once (0: as many as `count`)."""

    count: int
    period: timedelta
    burst: int = 0

    @property
    def capacity(self) -> int:
        """The most that may happen at once after a long rest."""
        return self.burst or self.count

    @property
    def pace(self) -> str:
        """For people: `5 a day`."""
        return f"{self.count:,} {_IN_WORDS[self.period]}"

    @property
    def words(self) -> str:
        """The whole of it for people: `10 a second, up to 20 at once`."""
        return f"{self.pace}, up to {self.capacity:,} at once"

    def __str__(self) -> str:
        """As the configuration writes it."""
        unit = next(unit for unit, length in _UNITS.items() if length == self.period)
        burst = f" burst {self.burst}" if self.burst else ""
        return f"{self.count}/{unit}{burst}"


@dataclass(frozen=True)
class RateKind(Kind[Rate | None]):
    """A rate, or `off` for no limit."""

    @property
    def words(self) -> str:
        """See Kind."""
        return "rate such as `10/s burst 20`, `5/d` (s, m, h or d), or `off`"

    def read(self, raw: object) -> Rate | None:
        """See Kind. YAML 1.1 reads a bare `off` as false."""
        text = "off" if raw is False else as_text(raw, f"a {self.words}").strip().lower()
        if text == "off":
            return None
        match = _RATE.fullmatch(text)
        if match is None:
            raise BadValue(f"expected a {self.words}")
        rate = Rate(int(match[1]), _UNITS[match[2]], int(match[3] or 0))
        if rate.count < 1 or match[3] == "0":
            raise BadValue("a rate and its burst are at least 1; `off` lifts the limit")
        if rate.period < rate.count * _MICROSECOND:
            raise BadValue("a rate is at most a million in a second")
        if rate.period.total_seconds() * rate.capacity / rate.count > LONGEST_DURATION.total_seconds():
            raise BadValue("a burst is at most what the rate gives in ten years")
        return rate

    def write(self, value: Rate | None) -> str:
        """See Kind."""
        return f'"{value or "off"}"'
