"""stub"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from webhooks.message import Message, Pair


@dataclass(frozen=True)
class Answer:
    status: int
    headers: tuple[Pair, ...]
    body: bytes
    delay: float


def make(settings: dict[str, Any] | None, message: Message, capture_id: UUID) -> Answer:
    return Answer(
        200, (("Content-Type", "application/json"),), b'{"ok": true, "id": "%s"}' % str(capture_id).encode(), 0
    )


def shown(settings: dict[str, Any] | None) -> dict[str, Any]:
    return settings or {}
