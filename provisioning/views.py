"""What is particular to databases and to caches in the API; resource_views.py has what they share."""

from typing import Any

from django.conf import settings
from rest_framework.request import Request

from instantlite import errors
from instantlite.errors import ApiError
from instantlite.handing_out import HandedOut
from instantlite.resource import Wish
from provisioning import caches, pool, redis, usage
from provisioning.connections import ClusterDown
from provisioning.models import Cache, Database
from provisioning.resource_views import Description, ProvisionedViewSet, described
from provisioning.serializers import (
    CacheCreated,
    CacheStatus,
    DatabaseCreated,
    DatabaseStatus,
    render_cache_status,
    render_status,
)


@described(
    Description(
        prefix="db",
        noun="database",
        new="PostgreSQL database",
        created=DatabaseCreated,
        status=DatabaseStatus,
        for_new=(errors.PROVISIONING_UNAVAILABLE, errors.CLUSTER_UNAVAILABLE),
        for_look=(errors.CLUSTER_UNAVAILABLE,),
        for_change=(errors.CLUSTER_UNAVAILABLE,),
    )
)
class DatabaseViewSet(ProvisionedViewSet[Database]):
    """PostgreSQL databases that live for a day."""

    model = Database
    env_variable = "DATABASE_URL"
    noun = "database"
    new_path = "/db/new"

    def hand_out(self, wish: Wish) -> HandedOut[Database]:
        return pool.hand_out(wish)

    def status_of(self, row: Database) -> dict[str, Any]:
        return render_status(row, usage.measure(row))

    def as_error(self, exception: Exception) -> ApiError | None:
        match exception:
            case pool.Unavailable():
                return ApiError(
                    errors.PROVISIONING_UNAVAILABLE,
                    "No database can be made right now. Send the request again after retry_after_seconds.",
                    retry_after=exception.retry_after,
                )
            case ClusterDown():
                return ApiError(
                    errors.CLUSTER_UNAVAILABLE,
                    "The server that holds this database does not answer right now. Send the request again; a change "
                    "that was asked for is kept and follows by itself.",
                    retry_after=5,
                )
        return super().as_error(exception)


@described(
    Description(
        prefix="cache",
        noun="cache",
        new="Redis cache",
        created=CacheCreated,
        status=CacheStatus,
        for_new=(errors.CACHE_UNAVAILABLE,),
        for_look=(errors.CACHE_UNAVAILABLE,),
        for_change=(errors.CACHE_UNAVAILABLE,),
    )
)
class CacheViewSet(ProvisionedViewSet[Cache]):
    """A user and a key prefix on Redis that live for a day."""

    model = Cache
    env_variable = "REDIS_URL"
    noun = "cache"
    new_path = "/cache/new"

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Without Redis nothing can be made or changed, and no URL told. A cache can be looked at and deleted."""
        super().initial(request, *args, **kwargs)
        wants_url = request.accepted_renderer.format != "json"
        if (request.method == "POST" or wants_url) and not redis.configured():
            raise redis.NoRedis("no Redis is configured")

    def hand_out(self, wish: Wish) -> HandedOut[Cache]:
        return caches.hand_out(wish)

    def status_of(self, row: Cache) -> dict[str, Any]:
        return render_cache_status(row)

    def as_error(self, exception: Exception) -> ApiError | None:
        match exception:
            case redis.NoRedis():
                return ApiError(
                    errors.CACHE_UNAVAILABLE,
                    "This server has no Redis, so it hands out no caches. Databases (POST /db/new) and webhooks work.",
                    degraded=True,
                )
            case redis.OpenRedis():
                return ApiError(
                    errors.CACHE_UNAVAILABLE,
                    "This server's Redis asks nobody for a password, so no caches are handed out on it; manage.py "
                    "checkcache tells its operator the remedy. Databases (POST /db/new) and webhooks work.",
                    degraded=True,
                )
            case redis.RedisDown():
                return ApiError(
                    errors.CACHE_UNAVAILABLE,
                    "Redis does not answer right now. Send the request again after retry_after_seconds; a change that "
                    "was asked for is kept and follows by itself. Databases (POST /db/new) and webhooks work.",
                    retry_after=max(1, round(settings.INSTANTLITE.redis.down_for.total_seconds())),
                    degraded=True,
                )
        return super().as_error(exception)
