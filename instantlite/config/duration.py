"""Durations as people write them, in the configuration and in the API alike."""

import re
from datetime import timedelta

# Ten years. Longer spans serve nobody here, and adding them to a date could leave the calendar.
LONGEST_DURATION = timedelta(days=3650)
_DURATION = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_DURATION_CHARACTERS = 12
_DURATION_HINT = "a duration is whole numbers with the units d, h, m, s in this order, such as 30s, 24h or 1h30m"


def parse_duration(text: str | int) -> timedelta:
    """Return the duration written as `30s`, `5m`, `24h`, `7d` or `1h30m`; a whole number is seconds.

    Units stand in falling order, each at most once, with ASCII digits and nothing else, in at most 12
    characters. The result is from zero to ten years. Raises ValueError otherwise, fit to show.
    """
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise ValueError(_DURATION_HINT)
    seconds = text if isinstance(text, int) else _seconds(text)
    if seconds < 0:
        raise ValueError("a duration is not negative")
    if seconds > LONGEST_DURATION.total_seconds():
        raise ValueError("a duration is at most ten years (3650d)")
    return timedelta(seconds=seconds)


def _seconds(text: str) -> int:
    match = _DURATION.fullmatch(text) if 0 < len(text) <= _DURATION_CHARACTERS else None
    if match is None:
        raise ValueError(_DURATION_HINT)
    days, hours, minutes, seconds = (int(digits or 0) for digits in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def write_duration(duration: timedelta) -> str:
    """Return a whole-second duration in the largest fitting unit up to hours: `24h`, `5m`, `90s`."""
    seconds = int(duration.total_seconds())
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"
