"""`manage.py checkcache`: content with a good Redis; of a bad one it says what mends it."""

import io
from collections.abc import Iterator

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from provisioning import cache_checks, redis_server
from provisioning.checks import Finding
from tests.provisioning.conftest import use_redis
from tests.redis_server import RedisServer

GOOD = {
    "maxmemory": "1gb",
    "maxmemory-policy": "noeviction",
    "client-output-buffer-limit": "normal 64mb 32mb 30",
    "proto-max-bulk-len": "4mb",
}


@pytest.fixture
def good(tenants_redis: RedisServer) -> Iterator[RedisServer]:
    """Configured as it should be; as it was, afterwards."""
    options = GOOD | ({"maxmemory-clients": "20%"} if tenants_redis.version == "7.0" else {})
    with tenants_redis.client() as admin:
        before = {name: admin.config_get(name)[name] for name in options}
        for name, value in options.items():
            admin.config_set(name, value)
        yield tenants_redis
        for name, value in before.items():
            admin.config_set(name, value)


def lacking() -> list[Finding]:
    return [finding for finding in cache_checks.check() if not finding.good]


def test_a_good_redis_lacks_nothing_and_is_left_as_it_was(good: RedisServer) -> None:
    says = [finding.says for finding in cache_checks.check()]
    assert lacking() == []
    assert f"a tenant can log in at 127.0.0.1:{good.port}/0" in says
    assert "a tenant reaches its own keys only" in says
    with good.client() as admin:
        assert admin.acl_users() == ["default"]
        assert admin.keys("*") == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("maxmemory", "0", "maxmemory is not set"),
        ("maxmemory-policy", "allkeys-lru", "one tenant's data pushes out another's"),
        ("client-output-buffer-limit", "normal 0 0 0", "a tenant that does not read its answers"),
        ("proto-max-bulk-len", "512mb", "one value may have 512 MB"),
    ],
)
def test_what_it_prints_mends_redis(good: RedisServer, name: str, value: str, says: str) -> None:
    with good.client() as admin:
        admin.config_set(name, value)
        (finding,) = lacking()
        assert says in finding.says
        words = finding.sql.replace('"', "").split(" ", 3)
        admin.execute_command(*words)
    assert lacking() == []


def test_an_open_redis_is_said_loudly_and_the_line_mends_it(good: RedisServer, settings: Settings) -> None:
    with good.client() as admin:
        admin.execute_command("ACL SETUSER", "default", "nopass")
        use_redis(settings, f"redis://127.0.0.1:{good.port}")
        try:
            (finding,) = lacking()
            assert finding.says.startswith("EVERY TENANT IS ADMINISTRATOR")
            mend = finding.sql.partition("#")[0].split()
            assert mend[:3] == ["ACL", "SETUSER", "default"]
            admin.execute_command(*mend)
            use_redis(settings, f"redis://:a-long-random-password@127.0.0.1:{good.port}")
            assert lacking() == []
        finally:
            admin.execute_command("ACL SETUSER", "default", "resetpass", f">{good.password}")


def test_a_user_of_ours_with_just_the_rights_in_the_docs_is_enough(good: RedisServer, settings: Settings) -> None:
    with good.client() as admin:
        admin.execute_command("ACL SETUSER", "ours", "on", ">x", "-@all", *cache_checks.OUR_RIGHTS.split())
    use_redis(settings, f"redis://ours:x@127.0.0.1:{good.port}")
    assert lacking() == []


def test_a_user_without_the_rights_is_told_which(good: RedisServer, settings: Settings) -> None:
    with good.client() as admin:
        admin.execute_command("ACL SETUSER", "weak", "on", ">x", "~*", "+@all", "-acl")
    use_redis(settings, f"redis://weak:x@127.0.0.1:{good.port}")
    (finding,) = lacking()
    assert "may not do this" in finding.says


def test_a_redis_that_does_not_answer_is_said_to(settings: Settings) -> None:
    use_redis(settings, "redis://:secret@127.0.0.1:1")
    (finding,) = cache_checks.check()
    assert finding.says.startswith("does not let us look: ")
    assert "secret" not in finding.says
    redis_server.close()


def test_a_replica_is_said_to_be_one(own_redis: RedisServer) -> None:
    with own_redis.client() as admin:
        admin.replicaof("127.0.0.1", "1")
    says = [finding.says for finding in lacking()]
    assert "this Redis is a replica; name the primary" in says
    assert any(line.startswith("a trial cache could not be made") for line in says)


def test_the_command_reports_and_its_status_tells(good: RedisServer) -> None:
    out = io.StringIO()
    call_command("checkcache", stdout=out)
    assert "LACKS" not in out.getvalue()
    with good.client() as admin:
        admin.config_set("maxmemory-policy", "allkeys-lru")
    with pytest.raises(CommandError, match="something is missing"):
        call_command("checkcache", stdout=out)
    assert "CONFIG SET maxmemory-policy noeviction" in out.getvalue()


def test_without_redis_it_says_what_to_set() -> None:
    with pytest.raises(CommandError, match="no Redis in the configuration"):
        call_command("checkcache")
