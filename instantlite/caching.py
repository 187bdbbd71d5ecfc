"""Django's cache: in Redis while the link to it holds, else in a table of the platform database."""

import hmac
from collections.abc import Callable, Iterable
from typing import Any

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django_redis.cache import RedisCache
from django_redis.exceptions import ConnectionInterrupted
from django_redis.serializers.pickle import PickleSerializer

from instantlite import keys, redislink

DATABASE = "database"
TABLE = "instantlite_cache"


def cache_settings(redis_url: str) -> dict[str, dict[str, Any]]:
    """settings.CACHES, with or without a Redis."""
    database = {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": TABLE}
    if not redis_url:
        return {"default": database}
    return {
        "default": {"BACKEND": "instantlite.caching.FallbackCache"},
        DATABASE: database,
        redislink.ALIAS: redislink.cache_backend(redis_url),
    }


def installation_key(key: Any, prefix: str, version: Any) -> str:
    """KEY_FUNCTION for Redis: two installations on one Redis, with keys of their own, have caches of their own."""
    return f"instantlite:cache:{keys.base64url(keys.derive('cache')[:6])}:{version}:{prefix}{key}"


class SignedPickle(PickleSerializer):  # type: ignore[misc]  # django-redis has no types
    """Pickles that only this installation can have written. To unpickle is to run whatever somebody has put there, and
    Redis may be one that many share.
    """

    def dumps(self, value: Any) -> bytes:
        pickled: bytes = super().dumps(value)
        return keys.sign("cache", pickled) + pickled

    def loads(self, value: bytes) -> Any:
        """None, as for what is not there, where the signature is not ours."""
        signature, pickled = value[: keys.SIGNATURE_BYTES], value[keys.SIGNATURE_BYTES :]
        return super().loads(pickled) if hmac.compare_digest(signature, keys.sign("cache", pickled)) else None


class OwnKeysCache(RedisCache):  # type: ignore[misc]  # django-redis has no types
    """django-redis's cache, but for clear(), which there empties the whole database, limits and tenants' keys too."""

    def clear(self) -> None:
        self.delete_pattern("*")


class FallbackCache(BaseCache):
    """Each operation goes to Redis; where that fails, the same operation goes to the database, in the same call.

    The two do not copy each other: after a change of side a key may be missing or old, as it may be in any cache, and
    goes with its timeout.
    """

    def __init__(self, location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def _do(self, operation: Callable[[BaseCache], Any]) -> Any:
        if redislink.link.client() is not None:
            try:
                return operation(caches[redislink.ALIAS])
            except (ConnectionInterrupted, *redislink.FAILURES) as error:
                cause = error.__cause__ if isinstance(error, ConnectionInterrupted) else error
                redislink.link.lost(cause if isinstance(cause, Exception) else error)
        return operation(caches[DATABASE])

    def add(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.add(key, value, timeout, version)))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return self._do(lambda cache: cache.get(key, default, version))

    def set(self, key: Any, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        self._do(lambda cache: cache.set(key, value, timeout, version))

    def touch(self, key: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.touch(key, timeout, version)))

    def delete(self, key: Any, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.delete(key, version)))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        return bool(self._do(lambda cache: cache.has_key(key, version)))

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        return int(self._do(lambda cache: cache.incr(key, delta, version)))

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        wanted = list(keys)
        found: dict[Any, Any] = self._do(lambda cache: cache.get_many(wanted, version))
        return found

    def set_many(
        self, data: dict[Any, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[Any]:
        return list(self._do(lambda cache: cache.set_many(data, timeout, version)) or [])

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        wanted = list(keys)
        self._do(lambda cache: cache.delete_many(wanted, version))

    def clear(self) -> None:
        """Both sides, or what is cleared would be back after a change of side."""
        self._do(lambda cache: cache.clear())
        caches[DATABASE].clear()
