"""Webhook inboxes of one measurement, made through the API."""

from dataclasses import dataclass
from urllib.parse import urlsplit
from uuid import UUID

from benchmarks.instance import Instance
from benchmarks.load import Client

# No inbox's limit binds, and each is charged all the same.
SETTINGS = {"LIMIT_REQUESTS": "off", "LIMIT_PROVISIONS": "off", "LIMIT_CAPTURES": "100000/s burst 1000000"}


@dataclass(frozen=True)
class Inbox:
    """`receive` is the path that senders use, `api` the one that its owner does."""

    id: UUID
    receive: str
    api: str


def make(instance: Instance, number: int, kept: int | None = None) -> list[Inbox]:
    """So many new ones, which keep `kept` requests each (None: what the configuration says)."""
    client = Client(instance.port)
    made = []
    for _ in range(number):
        answer = client.send("POST", "/webhook/new")
        assert answer.status == 201, answer
        said = answer.json()
        made.append(Inbox(UUID(said["id"]), urlsplit(said["receive_url"]).path, f"/webhook/{said['token']}"))
    client.close()
    if kept is not None:
        with instance.connect() as platform:
            ids = [inbox.id for inbox in made]
            platform.execute("UPDATE webhooks_endpoint SET requests_stored = %s WHERE id = ANY (%s)", [kept, ids])
    return made
