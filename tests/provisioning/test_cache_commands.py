"""What a tenant may send to Redis: exactly our list, on every version, and no key or channel of somebody else's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis
from rest_framework.test import APIClient

from provisioning import grants, redis_server
from tests.redis_server import RedisServer

_NO_COMMAND = "no permissions to run the"
_NO_KEY = "no permissions to access one of the keys"
_NO_CHANNEL = "no permissions to access one of the channels"


# Redis 6.2 does not list them.
_SUBCOMMANDS_OF_6_2 = """
client|list client|kill client|pause client|tracking client|caching client|reply client|unblock client|setname
client|getname client|id client|info config|get config|set object|encoding object|refcount object|idletime object|freq
xinfo|stream xinfo|groups xinfo|consumers xgroup|create xgroup|destroy xgroup|setid xgroup|createconsumer
xgroup|delconsumer command|count command|info command|getkeys acl|whoami acl|list pubsub|channels memory|usage
script|load
"""


@dataclass
class Tenant:
    prefix: str
    url: str

    def send(self, *words: Any) -> Any:
        """The answer on a connection of its own, raw; an error is an answer."""
        with redis.Redis.from_url(self.url, decode_responses=True, protocol=2, driver_info=None) as client:
            connection = client.connection_pool.get_connection()
            try:
                connection.send_command(*words)
                return connection.read_response()
            except redis.RedisError as error:
                return error
            finally:
                connection.disconnect()


def tenant(api: APIClient) -> Tenant:
    made = api.post("/cache/new").json()
    return Tenant(made["key_prefix"], made["connection_url"])


@pytest.fixture
def one(api: APIClient, tenants_redis: RedisServer) -> Tenant:
    return tenant(api)


@pytest.fixture
def other(api: APIClient, tenants_redis: RedisServer) -> Tenant:
    """A neighbour, with something of each type."""
    neighbour = tenant(api)
    with redis.Redis.from_url(neighbour.url) as client:
        key = f"{neighbour.prefix}:"
        client.set(f"{key}string", "secret")
        client.rpush(f"{key}list", "secret")
        client.sadd(f"{key}set", "secret")
        client.hset(f"{key}hash", "field", "secret")
        client.zadd(f"{key}zset", {"secret": 1})
        client.xadd(f"{key}stream", {"field": "secret"})
        client.xgroup_create(f"{key}stream", "g", "0")
        client.geoadd(f"{key}geo", (13.4, 52.5, "secret"))
    return neighbour


def commands(server: RedisServer) -> Iterator[list[Any]]:
    """COMMAND's own reply."""
    with server.client() as admin:
        admin.set_response_callback("COMMAND", lambda reply, **_: reply)
        yield from admin.execute_command("COMMAND")


def is_refused(answer: Any) -> bool:
    """By ACL; or, for DEBUG and MODULE in 7.0, by a switch that comes before it."""
    return isinstance(answer, redis.ResponseError) and (_NO_COMMAND in str(answer) or "not allowed" in str(answer))


def test_of_all_commands_of_the_server_exactly_our_list_is_granted(one: Tenant, tenants_redis: RedisServer) -> None:
    allowed = set()
    for name, arity, *more in commands(tenants_redis):
        if len(more) > 7 and more[7]:
            continue  # a container, of which the next test sends each subcommand
        answer = one.send(name, *[f"{one.prefix}:x"] * (abs(arity) - 1))
        if not is_refused(answer):
            allowed.add(name)
    listed = set(redis_server.tenants().granted(confined=False))
    # In 6.2 QUIT is a word of the protocol, and no command.
    assert allowed - {"quit"} == {word for word in listed if "|" not in word} - {"quit"}
    assert len(allowed) > 130


def test_of_all_subcommands_exactly_our_list_is_granted(one: Tenant, tenants_redis: RedisServer) -> None:
    with_subcommands = {
        word: -arity if arity < 0 else arity
        for command in commands(tenants_redis)
        for word, arity, *_ in (command[9] if len(command) > 9 else [])
    }
    if tenants_redis.version == "6.2":
        with_subcommands = dict.fromkeys(_SUBCOMMANDS_OF_6_2.split(), 5)
    listed = set(redis_server.tenants().granted(confined=False))
    for word, arity in with_subcommands.items():
        name, sub = word.split("|")
        answer = one.send(name, sub, *[f"{one.prefix}:x"] * (arity - 2))
        assert is_refused(answer) is (word not in listed), (word, answer)


def test_database_0_is_the_only_one(one: Tenant) -> None:
    assert one.send("SELECT", "0") == "OK"
    for number in ("1", "00", "15"):
        assert _NO_COMMAND in str(one.send("SELECT", number))


def refused(tenant: Tenant, neighbour: Tenant, calls: str, with_words: str) -> list[str]:
    """The calls that were not refused with these words. {M} in a call is the tenant's prefix, {T} the other's."""
    prefixes = {"M": f"{tenant.prefix}:", "T": f"{neighbour.prefix}:"}
    wrong = []
    for call in filter(None, map(str.strip, calls.replace("\n", "|").split("|"))):
        answer = tenant.send(*[word.format(**prefixes) for word in call.split()])
        if with_words not in str(answer):
            wrong.append(f"{call}: {answer}")
    return wrong


_KEYS = """
GET {T}string|MGET {M}x {T}string|SET {T}string x|SETEX {T}string 9 x|APPEND {T}string x|GETDEL {T}string
GETEX {T}string|STRLEN {T}string|GETRANGE {T}string 0 9|INCR {T}n|MSET {M}x 1 {T}string 2|MSETNX {M}x 1 {T}y 2
DEL {T}string|DEL {M}x {T}string|UNLINK {T}string|EXISTS {T}string|TYPE {T}string|TTL {T}string|TOUCH {T}string
EXPIRE {T}string 1|PERSIST {T}string|RENAME {T}string {M}x|RENAME {M}x {T}string|RENAMENX {T}string {M}x
OBJECT ENCODING {T}string|OBJECT IDLETIME {T}string|OBJECT REFCOUNT {T}string|BITCOUNT {T}string|GETBIT {T}string 0
LRANGE {T}list 0 -1|LPUSH {T}list x|LMOVE {T}list {M}x LEFT LEFT|LMOVE {M}x {T}list LEFT LEFT
RPOPLPUSH {T}list {M}x|BRPOPLPUSH {T}list {M}x 1|BLMOVE {T}list {M}x LEFT LEFT 1|BLPOP {M}x {T}list 1
BRPOP {T}list 1|LPOS {T}list secret
SMEMBERS {T}set|SMOVE {T}set {M}x secret|SMOVE {M}x {T}set y
SPOP {T}set
HGETALL {T}hash|HSET {T}hash f v|HDEL {T}hash field|HINCRBY {T}hash n 1
ZRANGE {T}zset 0 -1
ZRANGESTORE {M}x {T}zset 0 -1
ZADD {T}zset 1 x|BZPOPMIN {T}zset 1|ZPOPMAX {T}zset
XRANGE {T}stream - +|XREAD STREAMS {T}stream 0|XREAD BLOCK 10 STREAMS {M}x {T}stream 0 0|XADD {T}stream * a b
XREADGROUP GROUP g c STREAMS {T}stream >|XINFO STREAM {T}stream|XINFO GROUPS {T}stream|XDEL {T}stream 1-1
XGROUP CREATE {T}stream h 0|XGROUP DESTROY {T}stream g|XACK {T}stream g 1-1|XAUTOCLAIM {T}stream g c 0 0
XPENDING {T}stream g|XTRIM {T}stream MAXLEN 0
GEOPOS {T}geo secret|GEOSEARCH {T}geo FROMMEMBER secret BYRADIUS 1 km
GEOSEARCHSTORE {M}x {T}geo FROMMEMBER secret BYRADIUS 1 km|GEOSEARCHSTORE {T}geo {M}x FROMMEMBER secret BYRADIUS 1 km
WATCH {T}string|WATCH {M}x {T}string|GET x{M}y|GET *|SET il_ x
"""
_KEYS_OF_7_0 = """
LMPOP 1 {T}list LEFT|BLMPOP 1 1 {T}list LEFT|ZMPOP 1 {T}zset MIN|BZMPOP 1 1 {T}zset MIN
EXPIRETIME {T}string|PEXPIRETIME {T}string
"""
_CHANNELS = """
SUBSCRIBE {T}c|SUBSCRIBE {M}c {T}c|PSUBSCRIBE *|PSUBSCRIBE {T}*|PUBLISH {T}c x|SUBSCRIBE __keyspace@0__:{T}string
PSUBSCRIBE __key*|PUBLISH __redis__:invalidate x
"""
_HARM = """
KEYS *|SCAN 0|RANDOMKEY|DBSIZE|FLUSHALL|FLUSHDB|SWAPDB 0 1|MONITOR|INFO|SHUTDOWN|CONFIG GET *|CONFIG SET maxmemory 1
CLIENT LIST|CLIENT KILL TYPE normal|CLIENT TRACKING ON BCAST|EVAL return(1) 0|EVALSHA 0 0|SCRIPT FLUSH|ACL LIST
ACL WHOAMI|SAVE|PUBSUB CHANNELS|MEMORY USAGE {M}x|SLOWLOG GET|LATENCY DOCTOR|CLUSTER INFO|REPLICAOF NO ONE|WAIT 0 1
ROLE|BGSAVE|MIGRATE h 1 {M}x 0 1|RESTORE {M}x 0 x|DUMP {M}x|SORT {M}x BY {T}*|SORT {M}x GET {T}*|MOVE {M}x 1
COPY {M}x {M}y DB 1|OBJECT HELP|COMMAND|SETBIT {M}x 4294967295 1|SETRANGE {M}x 536870000 x|LOLWUT
BITFIELD {M}x SET u8 4294967288 1|BITOP NOT {M}x {M}y|SRANDMEMBER {M}x -99999999|HRANDFIELD {M}x -9
ZRANDMEMBER {M}x -9|PFDEBUG X Y|GEORADIUS {M}x 0 0 1 km STORE {T}y|GEORADIUSBYMEMBER {M}x m 1 km|XSETID {M}x 1-1
HSCAN {M}x 0|PFADD {M}x a|PFCOUNT {M}x|PSYNC ? -1|REPLCONF X Y|LASTSAVE|READONLY
SUNION {M}x {M}x|SUNIONSTORE {M}x {M}y|SDIFF {M}x|SDIFFSTORE {M}x {M}y|SINTER {M}x|SINTERSTORE {M}x {M}y
ZUNION 1 {M}x|ZUNIONSTORE {M}x 1 {M}y|ZINTER 1 {M}x|ZINTERSTORE {M}x 1 {M}y|ZDIFF 1 {M}x|ZDIFFSTORE {M}x 1 {M}y
"""
_HARM_OF_7_0 = """
FUNCTION LIST|FUNCTION FLUSH|FCALL f 0|LCS {M}x {M}y|SORT_RO {M}x BY {T}*|COMMAND LIST|SINTERCARD 1 {M}x
ZINTERCARD 1 {M}x
"""


def test_no_command_reaches_a_key_of_a_neighbours(one: Tenant, other: Tenant, tenants_redis: RedisServer) -> None:
    assert refused(one, other, _KEYS, _NO_KEY) == []
    assert refused(one, other, _KEYS_OF_7_0, _NO_KEY if tenants_redis.version == "7.0" else "unknown command") == []


def test_nor_does_a_transaction(one: Tenant, other: Tenant) -> None:
    with redis.Redis.from_url(one.url) as client, client.pipeline() as pipeline:
        pipeline.set(f"{one.prefix}:x", "mine")
        pipeline.get(f"{other.prefix}:string")
        with pytest.raises(redis.exceptions.NoPermissionError, match=_NO_KEY):
            pipeline.execute()
        assert client.get(f"{one.prefix}:x") is None


def test_no_channel_of_a_neighbours_is_reached(one: Tenant, other: Tenant) -> None:
    assert refused(one, other, _CHANNELS, _NO_CHANNEL) == []


def test_what_would_see_or_harm_others_is_refused(one: Tenant, other: Tenant, tenants_redis: RedisServer) -> None:
    assert refused(one, other, _HARM, _NO_COMMAND) == []
    if tenants_redis.version == "7.0":
        assert refused(one, other, _HARM_OF_7_0, _NO_COMMAND) == []


def test_after_reset_a_connection_is_nobodys(one: Tenant) -> None:
    with redis.Redis.from_url(one.url, protocol=2) as client:
        connection = client.connection_pool.get_connection()
        connection.send_command("RESET")
        assert connection.read_response() == b"RESET"
        connection.send_command("GET", f"{one.prefix}:x")
        with pytest.raises(redis.AuthenticationError):
            connection.read_response()
        connection.disconnect()


def test_the_list_names_each_command_once() -> None:
    words = " ".join((grants.READING, grants.SHRINKING, grants.WRITING, grants.CONNECTION)).split()
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("version", "has"),
    [
        ((6, 2, 15), ""),
        ((6, 2, 16), "hscan"),
        ((6, 2, 19), "hscan pfadd"),
        ((7, 0, 15), ""),
        ((7, 2, 5), ""),
        ((7, 2, 6), "hscan"),
        ((7, 2, 10), "hscan pfadd"),
        ((7, 4, 0), ""),
        ((7, 4, 5), "hscan pfadd"),
        ((8, 0, 2), "hscan"),
        ((8, 0, 3), "hscan pfadd"),
        ((8, 2, 0), "hscan pfadd"),
    ],
)
def test_a_command_with_a_known_fault_waits_for_the_version_that_mended_it(version: tuple[int, ...], has: str) -> None:
    given = grants.granted(frozenset({"hscan", "pfadd", "get"}), version, confined=False)
    assert set(given) - {"get"} == set(has.split())


def test_the_page_for_tenants_names_every_command_granted_or_not(tenants_redis: RedisServer) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "caches.md").read_text()
    works, refused = page[page.index("### What works") :].split("### What is refused, and why")
    words = " ".join((grants.READING, grants.SHRINKING, grants.WRITING, grants.CONNECTION)).split()
    rows = [row.split("|")[2] for row in works.splitlines() if row.startswith("| ")][1:]
    assert {word.upper().replace("|", " ") for word in words} == {
        word.strip(" ¹") for row in rows for word in row.split(",")
    }
    granted = {word.partition("|")[0] for word in words if "|" not in word}
    missing = [
        name
        for name, *_ in commands(tenants_redis)
        if name not in granted and not re.search(rf"\b{name.upper()}\b", refused.partition("### Quota")[0])
    ]
    # XINFO and XGROUP are granted by their subcommands; "post" and "host:" are traps for browsers.
    assert set(missing) <= {"xinfo", "xgroup", "post", "host:"}
