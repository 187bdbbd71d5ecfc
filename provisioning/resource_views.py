"""The API that databases and caches share. A view translates HTTP, makes one domain call, and renders."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from instantlite import errors, openapi
from instantlite.fields import ExtendResource, NewResource, Nothing, ResourceDeleted, parse
from instantlite.handing_out import HandedOut
from instantlite.resource import Wish
from instantlite.resource_api import ResourceViewSet
from provisioning import roles
from provisioning.models.provisioned import ProvisionedQuerySet, Row, rows_of
from provisioning.serializers import render
from ratelimit import creating, throttling

View = TypeVar("View", bound="type[ProvisionedViewSet[Any]]")


class ProvisionedViewSet(ResourceViewSet[Row]):
    """A kind of resource: made, looked at, changed and deleted by whoever holds its token."""

    model: type[Row]

    @abstractmethod
    def hand_out(self, wish: Wish) -> HandedOut[Row]:
        """The domain call behind POST."""

    @abstractmethod
    def status_of(self, row: Row) -> dict[str, Any]:
        """The answer to GET."""

    @throttling.charges_itself
    def create(self, request: Request) -> Response:
        """Yours alone, ready to connect to, gone after its time to live. The body may be left out."""
        handed_out = creating.hand_out(request, self.rows(), self.hand_out)
        return Response(render(handed_out.resource), status=201, headers=creating.headers(handed_out))

    def retrieve(self, request: Request, token: str) -> Response:
        """Status, size, connections in use, and the connection URL once more."""
        row = self.owned(token)
        return Response(self.status_of(row))

    def destroy(self, request: Request, token: str) -> Response:
        """At once, with everything in it. Connections end."""
        row = self.owned(token)
        roles.expire(row)
        return Response({"ok": True, "id": str(row.pk), "status": "deleted"})

    # Marked as actions for drf-spectacular, which describes no other methods; urls.py has their paths.
    @action(detail=True, methods=["post"])
    def rotate(self, request: Request, token: str) -> Response:
        """Connections with the old password end. The token stays."""
        parse(request, Nothing)
        row = roles.rotate(self.owned(token))
        return Response(render(row))

    @action(detail=True, methods=["post"])
    def extend(self, request: Request, token: str) -> Response:
        """Moves expires_at by ttl, as far as the server's longest lifetime allows; see expires_at in the answer."""
        wanted = parse(request, ExtendResource)
        row = roles.extend(self.owned(token), wanted["ttl"])
        return Response(render(row))

    def rows(self) -> ProvisionedQuerySet[Row]:
        return rows_of(self.model)


@dataclass(frozen=True)
class Description:
    """What the OpenAPI description says of one kind."""

    prefix: str
    noun: str
    new: str
    created: type[serializers.Serializer[Any]]
    status: type[serializers.Serializer[Any]]
    # The errors of a server that is away: for a new one, for a look, and for a change.
    for_new: tuple[errors.Code, ...]
    for_look: tuple[errors.Code, ...]
    for_change: tuple[errors.Code, ...]


def described(kind: Description) -> Callable[[View], View]:
    """Describes the five calls of a viewset."""
    decorate: Callable[[View], View] = extend_schema_view(
        create=extend_schema(
            operation_id=f"{kind.prefix}_new",
            summary=f"A new {kind.new}",
            parameters=[openapi.IDEMPOTENCY_KEY, openapi.FORMAT],
            request=NewResource,
            responses={
                **openapi.with_url(201, kind.created, f"The {kind.noun} is yours."),
                **openapi.problems(*openapi.BODY_PROBLEMS, errors.IDEMPOTENCY_MISMATCH, errors.GONE, *kind.for_new),
            },
        ),
        retrieve=extend_schema(
            operation_id=f"{kind.prefix}_status",
            summary=f"How a {kind.noun} is doing",
            parameters=[openapi.FORMAT],
            responses={
                **openapi.with_url(200, kind.status, f"The {kind.noun}, as it is now."),
                **openapi.problems(*openapi.TOKEN_PROBLEMS, *kind.for_look),
            },
        ),
        destroy=extend_schema(
            operation_id=f"{kind.prefix}_delete",
            summary=f"Delete a {kind.noun}",
            responses={
                (200, "application/json"): OpenApiResponse(ResourceDeleted, description="It is gone."),
                **openapi.problems(*openapi.TOKEN_PROBLEMS),
            },
        ),
        rotate=_change(kind, "rotate", "A new password", None, ()),
        extend=_change(kind, "extend", "A later expiry", ExtendResource, (errors.LIFETIME_REACHED,)),
    )
    return decorate


def _change(
    kind: Description,
    name: str,
    summary: str,
    body: type[serializers.Serializer[Any]] | None,
    also: tuple[errors.Code, ...],
) -> Callable[[Any], Any]:
    return extend_schema(
        operation_id=f"{kind.prefix}_{name}",
        summary=summary,
        parameters=[openapi.FORMAT],
        request=body,
        responses={
            **openapi.with_url(200, kind.created, f"The {kind.noun}, with {summary[0].lower()}{summary[1:]}."),
            **openapi.problems(*openapi.BODY_PROBLEMS, *openapi.TOKEN_PROBLEMS, *also, *kind.for_change),
        },
    )
