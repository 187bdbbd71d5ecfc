"""How log lines look: one JSON object each for machines, a short readable line for a person at a terminal."""

import json
import logging
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """One line of JSON per record: time (RFC 3339, UTC), level, logger, message, request_id, exception."""

    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = getattr(record, "request_id", None)
        if request_id:
            entry["request_id"] = request_id
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=True)


def logging_config(level: str, form: str) -> dict[str, Any]:
    """The dictConfig of a process: everything to standard error, in the form `json` or `console`."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {"()": "instantlite.logs.JsonFormatter"},
            "console": {
                "format": "%(asctime)s %(levelname)-7s %(name)s: %(message)s",
                "datefmt": "%H:%M:%S",
            },
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": form}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # Django names the path of each 4xx and 5xx, and a path may hold a token. What is ours to know, recovery.py
            # and errors.py log by the request's id; a forged Host is its sender's business.
            "django.request": {"level": "CRITICAL"},
            "django.security": {"level": "CRITICAL"},
            # It reports each failed attempt to connect while PostgreSQL is away; our own lines say that once.
            "psycopg.pool": {"level": "ERROR"},
        },
    }


def first_line(error: BaseException) -> str:
    """What a log line says of an error: PostgreSQL and Redis go on with details, hints and addresses."""
    return str(error).split("\n", 1)[0]
