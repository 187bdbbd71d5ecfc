"""Measures webhook inboxes: `make bench-capture`, with ARGS=--quick for a short run, or with the phases to run.

Each phase has instances and databases of its own. What is compared runs in turn, in short rounds or call by call, so
that it meets the same machine. docs/benchmarks.md explains the lines.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, and the project is not installed

from benchmarks import http_load, reading, taking_in, watching
from benchmarks.instance import Instance
from benchmarks.report import Report, run

PHASES = ("capture", "read", "streams")


def main() -> int:
    """Runs the phases; the exit status is 0 also when a target is missed: the table says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("phases", nargs="*", metavar="phase", help=f"which of {', '.join(PHASES)} (all)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, captures and streams: a look")
    parser.add_argument("--stored", type=int, default=5_000_000, help="captures of the large database (5000000)")
    options = parser.parse_args()
    if unknown := set(options.phases) - set(PHASES):
        parser.error(f"there is no phase {', '.join(sorted(unknown))}")
    wanted, quick, report = options.phases or PHASES, options.quick, Report()
    print(
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, PostgreSQL with fsync on, gunicorn with 2 workers; "
        f"generator: {http_load.generator()}"
    )
    if "capture" in wanted:
        with Instance() as instance:
            taking_in.measure(instance, report, rounds=2 if quick else 8, seconds=2 if quick else 5)
    if "read" in wanted:
        stored = min(options.stored, 200_000) if quick else options.stored
        reading.measure(report, stored, calls=20 if quick else 200)
    if "streams" in wanted:
        watching.measure(report, 100 if quick else 1000, seconds=3 if quick else 15)
    report.conclude()
    return 0


if __name__ == "__main__":
    run(main)
