"""stub"""

from collections.abc import Sequence
from typing import Any

from webhooks.message import Message


def entry(message: Message, url: str, started: str, client: str | None) -> dict[str, Any]:
    return {"request": {"url": url, "method": message.method}, "startedDateTime": started, "client": client}


def log(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"log": {"entries": list(entries)}}
