"""What the API says of a database: the shapes of its answers."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from provisioning.models import Database
from provisioning.postgres import Usage

# The classes describe the answers for OpenAPI; render() builds them, with no more than the work that takes.


class Limits(serializers.Serializer[Any]):
    storage_mb = serializers.IntegerField(help_text="Megabytes (10^6 bytes) on disk.")
    connections = serializers.IntegerField(help_text="Sessions at the same time.")
    expires_in = serializers.IntegerField(help_text="Seconds that were granted at the creation.")


class DatabaseCreated(serializers.Serializer[Any]):
    """A database of one's own, complete: nothing else has to be asked."""

    ok = serializers.BooleanField(help_text="Always true.")
    id = serializers.UUIDField(help_text="Names the database; opens nothing.")
    token = serializers.CharField(help_text="Proves ownership: keep it secret.")
    name = serializers.CharField()
    connection_url = serializers.CharField(help_text="postgresql://… with the password in it.")
    tier = serializers.CharField(help_text="anonymous")
    limits = Limits()
    expires_at = serializers.DateTimeField(help_text="RFC 3339, UTC. The database is gone after it.")
    note = serializers.CharField(help_text="What to know, in a sentence.")
    status_url = serializers.CharField(help_text="GET, DELETE it; POST to …/rotate and …/extend.")


class DatabaseStatus(DatabaseCreated):
    """A database as it is now."""

    status = serializers.CharField(help_text="active")
    created_at = serializers.DateTimeField(help_text="RFC 3339, UTC.")
    size_bytes = serializers.IntegerField(allow_null=True, help_text="On disk; null while the cluster does not answer.")
    connections = serializers.IntegerField(allow_null=True, help_text="Open sessions; null as above.")


class DatabaseDeleted(serializers.Serializer[Any]):
    ok = serializers.BooleanField()
    id = serializers.UUIDField()
    status = serializers.CharField(help_text="deleted")


def render(database: Database) -> dict[str, Any]:
    """The answer to whoever owns `database`."""
    return {
        "ok": True,
        "id": str(database.id),
        "token": database.token,
        "name": database.name,
        "connection_url": database.connection_url,
        "tier": "anonymous",
        "limits": {
            "storage_mb": database.storage_mb,
            "connections": database.connections,
            "expires_in": int(database.granted_ttl.total_seconds()) if database.granted_ttl else 0,
        },
        "expires_at": rfc3339(database.expires_at),
        "note": "Gone at expires_at, with everything in it. Extend it with POST to status_url + /extend, "
        "delete it with DELETE to status_url.",
        "status_url": f"{settings.INSTANTLITE.server.app_url}/db/{database.token}",
    }


def render_status(database: Database, usage: Usage | None) -> dict[str, Any]:
    """The answer to `GET /db/{token}`; `usage` None when the cluster does not answer."""
    return {
        **render(database),
        "status": "active",
        "created_at": rfc3339(database.created_at),
        "size_bytes": usage.size_bytes if usage else None,
        "connections": usage.connections if usage else None,
    }


def rfc3339(moment: Any) -> str:
    """`2026-01-31T12:00:00Z`: RFC 3339, UTC, whole seconds."""
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
