"""What the API of every kind of resource shares: whose it is, the forms of an answer, exceptions as errors."""

from typing import Any, ClassVar, Generic

from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from instantlite import errors
from instantlite.errors import ApiError
from instantlite.handing_out import Mismatch
from instantlite.renderers import EnvRenderer, PlainTextRenderer
from instantlite.resource import EphemeralQuerySet, Gone, LifetimeReached, Resource


class ResourceViewSet(ViewSet, Generic[Resource]):
    """A kind of resource, in the hands of whoever holds its token."""

    # What an .env file calls its URL, a sentence calls the thing, and a caller calls for a new one.
    env_variable: ClassVar[str]
    noun: ClassVar[str]
    new_path: ClassVar[str]
    # Actions whose answer has a connection_url, and can be had as that URL alone.
    with_url: ClassVar[frozenset[str]] = frozenset({"create", "retrieve", "rotate", "extend"})

    def rows(self) -> EphemeralQuerySet[Resource]:
        """All of this kind."""
        raise NotImplementedError

    def owned(self, token: str) -> Resource:
        """The caller's resource. Raises ApiError `not_found`, Gone."""
        row = self.rows().owned(token)
        if row is None:
            raise ApiError(
                errors.NOT_FOUND,
                f"No {self.noun} has this token. Check it, or make a new one with POST {self.new_path}.",
            )
        return row

    def get_renderers(self) -> list[BaseRenderer]:
        """JSON; where there is a connection_url, text and a line for .env too."""
        has_url = getattr(self, "action", None) in self.with_url
        return [JSONRenderer(), PlainTextRenderer(), EnvRenderer()] if has_url else [JSONRenderer()]

    def handle_exception(self, exc: Exception) -> Response:
        """The domain's exceptions, as answers."""
        return super().handle_exception(self.as_error(exc) or exc)

    def as_error(self, exception: Exception) -> ApiError | None:
        """What an exception means to a caller; a kind adds its own."""
        match exception:
            case Gone():
                return ApiError(
                    errors.GONE,
                    f"This {self.noun} has expired or was deleted. Make a new one with POST {self.new_path} "
                    "(with another Idempotency-Key, if you send one).",
                )
            case LifetimeReached():
                return ApiError(
                    errors.LIFETIME_REACHED,
                    f"This {self.noun} already lives for as long as this server allows. Make a new one with "
                    f"POST {self.new_path}.",
                )
            case Mismatch():
                return ApiError(
                    errors.IDEMPOTENCY_MISMATCH,
                    "This Idempotency-Key was used with a different body. Send the same body, or a new key.",
                )
        return None

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """An answer may hold credentials: no cache may keep it."""
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        final["Cache-Control"] = "no-store"
        return final
