"""An inbox as a caller has it, without a socket between."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from rest_framework.test import APIClient


@dataclass
class Inbox:
    """What POST /webhook/new gave, and the calls on it."""

    api: APIClient = field(default_factory=APIClient)
    wish: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def same(cls, other: "Inbox") -> "Inbox":
        """The same inbox in another thread's hands."""
        inbox = cls.__new__(cls)
        inbox.__dict__.update(other.__dict__, api=APIClient())
        return inbox

    def __post_init__(self) -> None:
        made = self.api.post("/webhook/new", self.wish, format="json", headers=self.headers)
        assert made.status_code == 201, made.content
        self.answer: dict[str, Any] = made.json()
        self.token: str = self.answer["token"]
        self.path = f"/webhook/{self.token}"
        self.receive_path = urlsplit(self.answer["receive_url"]).path

    def send(self, path: str = "", body: bytes | str = b"", method: str = "POST", **headers: str) -> Any:
        """A request to the receive URL; `content_type="…"` and other header fields by name."""
        content_type = headers.pop("content_type", "application/octet-stream")
        named: Any = {name.replace("_", "-"): value for name, value in headers.items()}
        target = f"{self.receive_path}{path}"
        data: Any = body
        # gunicorn hands the target on as it was sent.
        return self.api.generic(method, target, data, content_type, headers=named, RAW_URI=target)

    def sent(self, path: str = "", body: bytes | str = b"", method: str = "POST", **headers: str) -> str:
        """The same, which must succeed; the id of the request."""
        answer = self.send(path, body, method, **headers)
        assert answer.status_code == 200, answer.content
        request_id: str = answer.json()["id"]
        return request_id

    def get(self, path: str = "", /, **query: Any) -> Any:
        return self.api.get(f"{self.path}{path}", query)

    def items(self, **query: Any) -> Any:
        """The items of a page of its requests."""
        answer = self.get("/requests", **query)
        assert answer.status_code == 200, answer.content
        return answer.json()["items"]

    def listed(self, **query: Any) -> list[str]:
        """Their ids."""
        return [item["id"] for item in self.items(**query)]

    def detail(self, request_id: str) -> Any:
        answer = self.get(f"/requests/{request_id}")
        assert answer.status_code == 200, answer.content
        return answer.json()
