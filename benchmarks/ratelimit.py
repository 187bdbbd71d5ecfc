"""Measures the rate limiter: `make bench-ratelimit`, with ARGS=--quick for a short run.

Both stores, a bare round trip to each server, DRF's throttle and the library `limits`, side by side in one run on one
machine; and how far each admits more than its limit with 64 threads in two processes. docs/benchmarks.md explains the
lines.
"""

import argparse
import os
import secrets
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # run as a file, and the project is not installed

from benchmarks.instance import Instance
from benchmarks.report import Report, run
from benchmarks.served import PROJECT
from tests.redis_server import RedisServer

MEASURE = [sys.executable, str(Path(__file__).with_name("ratelimit_measure.py"))]
BURST, THREADS, CALLS = 200, 32, 20


def strained(name: str, environ: dict[str, str]) -> int:
    """How many of 2 x 32 x 20 calls on one key are admitted."""
    words = ["overshoot", name, str(THREADS), str(CALLS), str(BURST), secrets.token_hex(8)]
    processes = [
        subprocess.Popen(
            [*MEASURE, *words], cwd=PROJECT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in processes:
        assert process.stdout and process.stdout.readline() == "ready\n", f"{name} did not start"  # noqa: PT018
    for process in processes:
        assert process.stdin
        process.stdin.write("go\n")
        process.stdin.flush()
    return sum(int(process.communicate(timeout=300)[0]) for process in processes)


def overshoot_phase(report: Report, environ: dict[str, str]) -> None:
    """Every contender, the same limit, the same load."""
    report.title(f"Limit {BURST}, asked {2 * THREADS * CALLS} times by 64 threads in two processes at once")
    names = subprocess.run(
        [*MEASURE, "names"], cwd=PROJECT, env=environ, check=True, capture_output=True, text=True
    ).stdout.splitlines()
    for name in names:
        over = strained(name, environ) - BURST
        target = "0" if name.startswith("ours") else ""
        report.line(name, f"{over:+d} ({100 * over / BURST:+.0f} %)", target, reached=over == 0 or not target)


def main() -> int:
    """Runs every phase; the exit status is 0 also when a target is missed: the table says so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    parser.add_argument("--decisions", type=int, default=1_000_000, help="for the phase on the table (1000000)")
    parser.add_argument("--redis", default="6.2", choices=["6.2", "7.0"], help="which Redis")
    options = parser.parse_args()
    quick = options.quick
    report = Report()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, PostgreSQL with fsync on, Redis {options.redis}")
    with Instance() as instance:
        redis = RedisServer(instance.folder, options.redis).start()
        try:
            environ = instance.environ({"REDIS_URL": redis.url})
            missed = 0
            for words in (
                ["latency", "500" if quick else "5000"],
                ["throughput", "0.5" if quick else "3"],
                ["table", str(min(options.decisions, 50_000) if quick else options.decisions)],
            ):
                missed += subprocess.run([*MEASURE, *words], cwd=PROJECT, env=environ, check=False).returncode
            overshoot_phase(report, environ)
        finally:
            redis.kill()
    print("\nAll targets reached." if not missed and not report.missed else "\nA target was missed: see above.")
    return 0


if __name__ == "__main__":
    run(main)
