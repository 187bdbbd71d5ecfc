"""The forms of an answer: JSON, the bare URL for a shell variable, a line for an .env file."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request


class PlainTextRenderer(BaseRenderer):
    """`Accept: text/plain`: the connection URL and a newline, so that VAR=$(curl …) works."""

    media_type = "text/plain"
    format = "text"
    charset = "utf-8"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        return f"{data['connection_url']}\n".encode()


class EnvRenderer(PlainTextRenderer):
    """`?format=env`: a line that an .env file takes as it stands. The view names the variable."""

    format = "env"

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        variable = (renderer_context or {})["view"].env_variable
        return f"{variable}={data['connection_url']}\n".encode()


class Negotiation(BaseContentNegotiation):
    """`?format=` first, then `Accept: text/plain`, else JSON: a caller that asks for XML is still told its URL.

    Raises ValidationError for a format or a query parameter that nobody knows.
    """

    parameters: ClassVar = frozenset({"format"})

    def select_parser(self, request: Request, parsers: Iterable[BaseParser]) -> BaseParser | None:
        wanted = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == wanted), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        by_format = {renderer.format: renderer for renderer in renderers}
        unknown = next((name for name in request.query_params if not self.knows(name)), None)
        if unknown is not None:
            raise ValidationError({unknown[:60]: "is not a query parameter of this call; fields go into the body."})
        wanted = request.query_params.get("format")
        if wanted is not None and wanted not in by_format:
            raise ValidationError({"format": f"choose one of {', '.join(sorted(by_format))}."})
        default = "text" if _prefers_text(request) and "text" in by_format else next(iter(by_format))
        chosen = by_format[wanted or default]
        return chosen, chosen.media_type or ""

    def knows(self, name: str) -> bool:
        """Whether the call has a query parameter of this name."""
        return name in self.parameters


class OwnParameters(Negotiation):
    """For a call that has parameters of its own, and itself refuses those that it does not know."""

    def knows(self, name: str) -> bool:
        return True


def _prefers_text(request: Request) -> bool:
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("Accept", "").split(",")]
    return "text/plain" in accepted and "application/json" not in accepted
