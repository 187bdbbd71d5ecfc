"""What the API says of a database or a cache: the shapes of its answers."""

from typing import Any

from django.conf import settings
from rest_framework import serializers

from instantlite.fields import rfc3339
from provisioning.models import Cache, Database, Provisioned
from provisioning.postgres import Usage

# The classes describe the answers for OpenAPI; render() builds them, with no more than the work that takes.


class Limits(serializers.Serializer[Any]):
    storage_mb = serializers.IntegerField(help_text="Megabytes (10^6 bytes), on disk or in a cache's memory.")
    connections = serializers.IntegerField(help_text="Connections at the same time.")
    expires_in = serializers.IntegerField(help_text="Seconds that were granted at the creation.")


class ResourceCreated(serializers.Serializer[Any]):
    """Complete: nothing else has to be asked."""

    ok = serializers.BooleanField(help_text="Always true.")
    id = serializers.UUIDField(help_text="Names the resource; opens nothing.")
    token = serializers.CharField(help_text="Proves ownership: keep it secret.")
    name = serializers.CharField()
    connection_url = serializers.CharField(help_text="With the password in it; works as it stands.")
    tier = serializers.CharField(help_text="anonymous")
    limits = Limits()
    expires_at = serializers.DateTimeField(help_text="RFC 3339, UTC. The resource is gone after it.")
    note = serializers.CharField(help_text="What to know, in a sentence.")
    status_url = serializers.CharField(help_text="GET, DELETE it; POST to …/rotate and …/extend.")


class DatabaseCreated(ResourceCreated):
    """A database of one's own: postgresql://…"""


class DatabaseStatus(DatabaseCreated):
    """A database as it is now."""

    status = serializers.CharField(help_text="active")
    created_at = serializers.DateTimeField(help_text="RFC 3339, UTC.")
    size_bytes = serializers.IntegerField(allow_null=True, help_text="On disk; null while the cluster does not answer.")
    connections = serializers.IntegerField(allow_null=True, help_text="Open sessions; null as above.")


class CacheCreated(ResourceCreated):
    """A user and a key prefix of one's own on Redis: redis://… or rediss://…"""

    key_prefix = serializers.CharField(help_text="Keys and channels must start with it and a colon.")


class CacheStatus(CacheCreated):
    """A cache as it was a moment ago."""

    connection_url = serializers.CharField(allow_null=True, help_text="As above; null while this server has no Redis.")
    status = serializers.CharField(help_text="active")
    created_at = serializers.DateTimeField(help_text="RFC 3339, UTC.")
    size_bytes = serializers.IntegerField(allow_null=True, help_text="Memory of the keys, when last looked at.")
    connections = serializers.IntegerField(allow_null=True, help_text="Open connections, when last looked at.")
    storage_exceeded = serializers.BooleanField(help_text="True: it may read and delete until it has shrunk.")


def render(row: Provisioned) -> dict[str, Any]:
    """The answer to whoever owns `row`."""
    return {
        "ok": True,
        "id": str(row.id),
        "token": row.token,
        "name": row.name,
        "connection_url": row.connection_url if row.has_server else None,
        **row.further_facts(),
        "tier": "anonymous",
        "limits": {
            "storage_mb": row.storage_mb,
            "connections": row.connections,
            "expires_in": int(row.granted_ttl.total_seconds()) if row.granted_ttl else 0,
        },
        "expires_at": rfc3339(row.expires_at),
        "note": row.note,
        "status_url": f"{settings.INSTANTLITE.server.app_url}/{row.kind}/{row.token}",
    }


def render_status(database: Database, usage: Usage | None) -> dict[str, Any]:
    """The answer to `GET /db/{token}`; `usage` None when the cluster does not answer."""
    return _status(database, usage.size_bytes if usage else None, usage.connections if usage else None)


def render_cache_status(cache: Cache) -> dict[str, Any]:
    """The answer to `GET /cache/{token}`: as housekeeping has last seen it, so that it needs no Redis."""
    return {**_status(cache, cache.size_bytes, cache.open_connections), "storage_exceeded": cache.confined}


def _status(row: Provisioned, size_bytes: int | None, connections: int | None) -> dict[str, Any]:
    return {
        **render(row),
        "status": "active",
        "created_at": rfc3339(row.created_at),
        "size_bytes": size_bytes,
        "connections": connections,
    }
