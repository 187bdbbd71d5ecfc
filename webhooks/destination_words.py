"""How a destination is doing, in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webhooks import forwarding_shapes
from webhooks.models import Destination
from webhooks.showing import Moment


@dataclass(frozen=True)
class ShownDestination:
    """A destination in the page's list. `counts` are of its deliveries, as the API has them."""

    row: Destination
    counts: Mapping[str, Any]
    now: datetime

    @property
    def id(self) -> str:
        return str(self.row.pk)

    @property
    def rests(self) -> Moment | None:
        """Until when it is left alone; None where it is not."""
        until = self.row.rests_until
        return Moment(until, self.now) if until and until > self.now and self.row.enabled else None

    @property
    def mood(self) -> str:
        """`fine`, `off`, `stopped`, `resting` or `failing`."""
        if not self.row.enabled:
            return "stopped" if self.row.stopped else "off"
        return "resting" if self.rests else "failing" if self.row.failures else "fine"

    @property
    def state(self) -> str:
        """The first words of it; where it rests, the time follows."""
        failures = f"{self.row.failures} failure{'s' if self.row.failures != 1 else ''}"
        return {
            "fine": "Fine",
            "off": "Off",
            "stopped": f"Turned off: {self.row.stopped[:1].lower()}{self.row.stopped[1:].rstrip('.')}",
            "resting": f"Resting after {failures}{' in a row' if self.row.failures > 1 else ''}",
            "failing": f"Fails: {failures} since the last success",
        }[self.mood]

    @property
    def numbers(self) -> list[tuple[int, str]]:
        """Deliveries that wait, are dead or lost, each where there are any."""
        return [(self.counts[name], name) for name in ("waiting", "dead", "lost") if self.counts[name]]

    @property
    def traits(self) -> list[str]:
        """What is set beside the URL, in short."""
        held = self.row.filter or {}
        found = []
        if held.get("methods"):
            found.append(" or ".join(held["methods"]))
        if held.get("path"):
            found.append(held["path"])
        found += [f"{name}: {value}" for name, value in held.get("headers", {}).items()]
        found += [f"{place} = {_plain(value)}" for place, value in held.get("json", {}).items()]
        return found

    @property
    def signer(self) -> str:
        return str(self.counts["signature"]["provider"]) if self.counts["signature"] else ""


def shown(rows: list[Destination], now: datetime) -> list[ShownDestination]:
    """Each with its counts, by one query for all."""
    return [
        ShownDestination(row, counts, now)
        for row, counts in zip(rows, forwarding_shapes.destinations(rows), strict=True)
    ]


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
