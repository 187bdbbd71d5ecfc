"""Databases' part of the API; resource_views.py has what they share with caches."""

from typing import Any

from instantlite import errors
from instantlite.errors import ApiError
from instantlite.resource import Wish
from provisioning import pool, usage
from provisioning.connections import ClusterDown
from provisioning.handing_out import HandedOut
from provisioning.models import Database
from provisioning.resource_views import Description, ProvisionedViewSet, described
from provisioning.serializers import DatabaseCreated, DatabaseStatus, render_status


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
