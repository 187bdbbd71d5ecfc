"""Measures forwarding: `make bench-forward`, with ARGS=--quick for a short run. docs/benchmarks.md explains the lines.

What is compared runs in turn, in short rounds, so that it meets the same machine.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, and the project is not installed

from benchmarks import http_load, sending_on
from benchmarks.instance import CONFIGURATION, Instance
from benchmarks.report import Report, run


def main() -> int:
    """Runs the phases; the exit status is 0 also when a target is missed: the table says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds: a look")
    options = parser.parse_args()
    report = Report()
    print(
        f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, PostgreSQL with fsync on, gunicorn with 2 workers; "
        f"generator: {http_load.generator()}"
    )
    # What waits to be sent is kept, however much it is.
    with Instance(CONFIGURATION + "forwarding:\n  backlog: 1000000\n") as instance:
        sending_on.measure(instance, report, rounds=2 if options.quick else 6, seconds=2 if options.quick else 5)
    report.conclude()
    return 0


if __name__ == "__main__":
    run(main)
