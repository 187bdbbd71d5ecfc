"""How figures are printed: a line each, as soon as it is known, with its target beside it."""

import sys
from collections.abc import Callable
from typing import NoReturn


def percentile(values: list[float], percent: int) -> float:
    """The smallest value that `percent` of all values do not exceed; 0 for none."""
    return sorted(values)[max(0, -(-len(values) * percent // 100) - 1)] if values else 0.0


class Report:
    """Prints each figure as it is known, and knows in the end which targets were missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def title(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def line(self, what: str, value: str, target: str = "", reached: bool = True) -> None:
        verdict = f"  target {target}: {'reached' if reached else 'MISSED'}" if target else ""
        print(f"  {what:<44} {value:<34}{verdict}", flush=True)
        if not reached:
            self.missed.append(what)

    def times(self, what: str, milliseconds: list[float], note: str = "") -> None:
        p50, p99 = percentile(milliseconds, 50), percentile(milliseconds, 99)
        self.line(what, f"p50 {p50:7.2f} ms   p99 {p99:7.2f} ms", "")
        if note:
            print(f"  {'':<44} {note}", flush=True)

    def conclude(self) -> None:
        """Says which targets were missed."""
        print(f"\n{'Missed: ' + '; '.join(self.missed) if self.missed else 'All targets reached.'}")


def run(main: Callable[[], int]) -> NoReturn:
    """Runs a benchmark and exits with its status; with 130, as a shell would say it, on Ctrl-C."""
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
