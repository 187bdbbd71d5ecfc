"""What tests of caches do again and again."""

from datetime import timedelta
from typing import Any

import redis
from django.db.models.functions import Now
from rest_framework.test import APIClient

from provisioning.models import Cache, installation_prefix
from tests.redis_server import RedisServer


def new(api: APIClient) -> dict[str, Any]:
    """A cache in its owner's hands: the answer to POST /cache/new."""
    answer: dict[str, Any] = api.post("/cache/new", {"ttl": "1h"}, format="json").json()
    return answer


def open_(made: dict[str, Any]) -> redis.Redis:
    """A tenant's client."""
    return redis.Redis.from_url(made["connection_url"], decode_responses=True)


def works(made: dict[str, Any]) -> bool:
    """Whether its owner can log in and write."""
    with open_(made) as tenant:
        try:
            return bool(tenant.set(f"{made['key_prefix']}:k", "v"))
        except (redis.ConnectionError, redis.TimeoutError):  # a refused login is the former
            return False


def overdue(made: dict[str, Any]) -> None:
    """Its time is up, and no housekeeping has come by."""
    Cache.objects.filter(pk=made["id"]).update(expires_at=Now() - timedelta(seconds=1))


def held(server: RedisServer) -> tuple[list[str], list[str]]:
    """Users, the default one aside, and keys but for our own."""
    with server.client() as admin:
        users = set(admin.acl_users()) - {"default"}
        keys = set(admin.keys("*")) - set(admin.keys(f"{installation_prefix()[:-1]}:*"))
    return sorted(users), sorted(keys)
