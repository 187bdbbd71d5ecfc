"""The API of databases. A view translates HTTP, makes one domain call, and renders."""

from typing import Any

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ViewSet

from instantlite import errors, openapi
from instantlite.errors import ApiError
from instantlite.fields import ExtendResource, NewResource, Nothing, idempotency_key, parse
from instantlite.renderers import EnvRenderer, PlainTextRenderer
from instantlite.resource import Gone, LifetimeReached, Wish
from provisioning import pool, roles, usage
from provisioning.connections import ClusterDown
from provisioning.models import Database
from provisioning.serializers import DatabaseCreated, DatabaseDeleted, DatabaseStatus, render, render_status
from ratelimit import clients, limits, throttling


class DatabaseViewSet(ViewSet):
    """PostgreSQL databases that live for a day."""

    env_variable = "DATABASE_URL"

    @extend_schema(
        operation_id="db_new",
        summary="A new PostgreSQL database",
        parameters=[openapi.IDEMPOTENCY_KEY, openapi.FORMAT],
        request=NewResource,
        responses={
            **openapi.with_url(201, DatabaseCreated, "The database is yours."),
            **openapi.problems(
                *openapi.BODY_PROBLEMS,
                errors.IDEMPOTENCY_MISMATCH,
                errors.GONE,
                errors.PROVISIONING_UNAVAILABLE,
                errors.CLUSTER_UNAVAILABLE,
            ),
        },
    )
    @throttling.charges_itself
    def create(self, request: Request) -> Response:
        """Yours alone, ready to connect to, gone after its time to live. The body may be left out."""
        wish = wish_of(request)
        # What was given before is given again to whoever has used up the limit since.
        new = () if Database.objects.is_repeated(wish) else (limits.PROVISIONS,)
        with throttling.charged(request, *new) as receipt:
            handed_out = pool.hand_out(wish)
            if handed_out.replayed:
                receipt.give_back()
        replayed = {"Idempotency-Replayed": "true"} if handed_out.replayed else {}
        return Response(render(handed_out.database), status=201, headers=replayed)

    @extend_schema(
        operation_id="db_status",
        summary="How a database is doing",
        parameters=[openapi.FORMAT],
        responses={
            **openapi.with_url(200, DatabaseStatus, "The database, as it is now."),
            **openapi.problems(*openapi.TOKEN_PROBLEMS, errors.CLUSTER_UNAVAILABLE),
        },
    )
    def retrieve(self, request: Request, token: str) -> Response:
        """Status, size, sessions in use, and the connection URL once more."""
        database = owned(token)
        return Response(render_status(database, usage.measure(database)))

    @extend_schema(
        operation_id="db_delete",
        summary="Delete a database",
        responses={
            (200, "application/json"): OpenApiResponse(DatabaseDeleted, description="It is gone."),
            **openapi.problems(*openapi.TOKEN_PROBLEMS),
        },
    )
    def destroy(self, request: Request, token: str) -> Response:
        """At once, with everything in it. Sessions end."""
        database = owned(token)
        roles.expire(database)
        return Response({"ok": True, "id": str(database.id), "status": "deleted"})

    @extend_schema(
        operation_id="db_rotate",
        summary="A new password",
        parameters=[openapi.FORMAT],
        request=None,
        responses={
            **openapi.with_url(200, DatabaseCreated, "The database, with its new password."),
            **openapi.problems(*openapi.BODY_PROBLEMS, *openapi.TOKEN_PROBLEMS, errors.CLUSTER_UNAVAILABLE),
        },
    )
    def rotate(self, request: Request, token: str) -> Response:
        """Sessions with the old password end. The token stays."""
        parse(request, Nothing)
        database = roles.rotate(owned(token))
        return Response(render(database))

    @extend_schema(
        operation_id="db_extend",
        summary="A later expiry",
        parameters=[openapi.FORMAT],
        request=ExtendResource,
        responses={
            **openapi.with_url(200, DatabaseCreated, "The database, with its new expiry."),
            **openapi.problems(
                *openapi.BODY_PROBLEMS, *openapi.TOKEN_PROBLEMS, errors.LIFETIME_REACHED, errors.CLUSTER_UNAVAILABLE
            ),
        },
    )
    def extend(self, request: Request, token: str) -> Response:
        """Moves expires_at by ttl, as far as the server's longest lifetime allows; see expires_at in the answer."""
        wanted = parse(request, ExtendResource)
        database = roles.extend(owned(token), wanted["ttl"])
        return Response(render(database))

    def get_renderers(self) -> list[BaseRenderer]:
        """Every answer that has a connection_url can be had as that URL alone."""
        has_url = getattr(self, "action", None) not in ("destroy", None)
        return [JSONRenderer(), PlainTextRenderer(), EnvRenderer()] if has_url else [JSONRenderer()]

    def handle_exception(self, exc: Exception) -> Response:
        """The domain's exceptions, as answers."""
        return super().handle_exception(_as_error(exc) or exc)

    def finalize_response(self, request: Request, response: Response, *args: Any, **kwargs: Any) -> Response:
        """An answer may hold credentials: no cache may keep it."""
        final: Response = super().finalize_response(request, response, *args, **kwargs)
        final["Cache-Control"] = "no-store"
        return final


def wish_of(request: Request) -> Wish:
    """What the caller asks for. Raises ApiError, ValidationError."""
    client = clients.identify(request._request)
    wanted = parse(request, NewResource)
    return Wish(
        fingerprint=client.fingerprint,
        name=wanted.get("name"),
        ttl=wanted.get("ttl"),
        idempotency_key=idempotency_key(request),
        client=str(client.address),
    )


def owned(token: str) -> Database:
    """The caller's database. Raises ApiError `not_found`, Gone."""
    database = roles.owned(token)
    if database is None:
        raise ApiError(errors.NOT_FOUND, "No database has this token. Check it, or make a new one with POST /db/new.")
    return database


def _as_error(exception: Exception) -> ApiError | None:
    match exception:
        case Gone():
            return ApiError(
                errors.GONE,
                "This database has expired or was deleted. Make a new one with POST /db/new "
                "(with another Idempotency-Key, if you send one).",
            )
        case LifetimeReached():
            return ApiError(
                errors.LIFETIME_REACHED,
                "This database already lives for as long as this server allows. Make a new one with POST /db/new.",
            )
        case pool.Mismatch():
            return ApiError(
                errors.IDEMPOTENCY_MISMATCH,
                "This Idempotency-Key was used with a different body. Send the same body, or a new key.",
            )
        case pool.Unavailable():
            return ApiError(
                errors.PROVISIONING_UNAVAILABLE,
                "No database can be made right now. Send the request again after retry_after_seconds.",
                retry_after=exception.retry_after,
            )
        case ClusterDown():
            return ApiError(
                errors.CLUSTER_UNAVAILABLE,
                "The server that holds this database does not answer right now. Send the request again; a change that "
                "was asked for is kept and follows by itself.",
                retry_after=5,
            )
    return None
