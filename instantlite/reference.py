"""Reference pages written from the code: `python -m instantlite.reference errors` prints docs/errors.md."""

import os
import sys
from collections.abc import Callable

# The errors stand beside DRF's, which reads the settings when it is imported.
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "instantlite.settings")

from instantlite import errors, telemetry

_ERRORS = """\
# Errors

Every answer that is not a success is this JSON object, whatever form was asked for:

```json
{
  "ok": false,
  "error": "not_found",
  "message": "No database has this token. Check it, or make a new one with POST /db/new.",
  "request_id": "a60cad67653844b09ce93686b990a44d"
}
```

`error` is one of the codes below: programs compare it, and it does not change. `message` says what to do next, for
people, and may change. `request_id` is in the header `X-Request-Id` of every answer too; a fault of ours is logged
under it.

Where waiting helps, there is `retry_after_seconds`, and the header `Retry-After` with the same number; `curl --retry`
keeps to it, for as long as `--retry-max-time` allows. `"degraded": true` says that a part of this server is missing and
that the rest works. A browser that opens a path which is not the API's gets the same as a page.

| Code | Status | When |
|---|---|---|
"""


def errors_markdown() -> str:
    """docs/errors.md as a whole, from the codes in errors.py, by status."""
    rows = sorted(errors.CODES.values(), key=lambda code: (code.status, code.name))
    table = "".join(f"| `{code.name}` | {code.status} | {code.meaning} |\n" for code in rows)
    return f"{_ERRORS}{table}\nThis page is printed by `python -m instantlite.reference errors`.\n"


_METRICS = """\
# Telemetry

Metrics live in each process: with two workers, each has counts of its own.

| Metric | Labels | What it counts |
|---|---|---|
"""


def metrics_markdown() -> str:
    """docs/telemetry.md as a whole, from the metrics in telemetry.py."""
    rows = (
        f"| `{metric.name}` | {', '.join(f'`{label}`' for label in metric.labels)} | {metric.says} |\n"
        for metric in telemetry.METRICS.values()
    )
    return f"{_METRICS}{''.join(rows)}\nThis page is printed by `python -m instantlite.reference telemetry`.\n"


PAGES: dict[str, Callable[[], str]] = {"errors": errors_markdown, "telemetry": metrics_markdown}


def main(arguments: list[str]) -> int:
    """Prints the page that is named; gives the exit status."""
    if len(arguments) != 1 or arguments[0] not in PAGES:
        sys.stderr.write(f"usage: python -m instantlite.reference {'|'.join(PAGES)}\n")
        return 2
    sys.stdout.write(PAGES[arguments[0]]())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
