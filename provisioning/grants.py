"""What a tenant may send to Redis: an explicit list, so that a command of a later version is never granted by accident.

docs/caches.md has the list of what is refused, and why. Checked against Redis 6.2 and 7.0; newer commands wait until
somebody has looked at them. A tenant's keys and channels are bounded by patterns; what must not be on these lists is
whatever reaches past them, or lets one small command take the server's memory or minutes of its time:

- KEYS, SCAN, RANDOMKEY, DBSIZE, PUBSUB, MONITOR, INFO, CLIENT LIST … name what is others';
- SORT (BY, GET) and COPY … DB reach keys that the patterns do not see; SELECT a database that nobody cleans up;
- EVAL, FCALL: a script that has written and does not end is ended by SHUTDOWN alone, and scripts' cache is shared;
- SUNION and its kin do as much work as there are names in the command, and one big set may be named a thousand times;
- SETBIT, SETRANGE, BITFIELD: one command allocates 512 MB; LCS is quadratic; SRANDMEMBER, HRANDFIELD and ZRANDMEMBER
  with a negative count answer without end;
- RESTORE reads a payload that a tenant can craft.
"""

# Looks, and takes nothing.
READING = """
exists type ttl pttl expiretime pexpiretime touch object|encoding object|freq object|idletime object|refcount
get getrange substr strlen mget getbit bitcount bitpos bitfield_ro pfcount
hget hmget hgetall hkeys hvals hlen hexists hstrlen hscan
lrange llen lindex lpos
smembers sismember smismember scard sscan
zrange zrangebyscore zrangebylex zrevrange zrevrangebyscore zrevrangebylex zrank zrevrank
zscore zmscore zcard zcount zlexcount zscan
geopos geodist geohash geosearch
xrange xrevrange xlen xread xpending xinfo|stream xinfo|groups xinfo|consumers
"""

# Deletes, or makes smaller: what somebody over the quota needs to get below it.
SHRINKING = """
del unlink expire pexpire expireat pexpireat getdel getex
hdel
lpop rpop blpop brpop lmpop blmpop ltrim lrem
srem spop
zrem zremrangebyrank zremrangebyscore zremrangebylex zpopmin zpopmax bzpopmin bzpopmax zmpop bzmpop
xdel xtrim xack xgroup|destroy xgroup|delconsumer
"""

WRITING = """
rename renamenx persist
set setnx setex psetex getset mset msetnx append incr incrby incrbyfloat decr decrby pfadd pfmerge
hset hsetnx hmset hincrby hincrbyfloat
lpush lpushx rpush rpushx linsert lset lmove blmove rpoplpush brpoplpush
sadd smove
zadd zincrby zrangestore
geoadd geosearchstore
xadd xreadgroup xclaim xautoclaim xgroup|create xgroup|createconsumer xgroup|setid
"""

# What drivers send of their own accord, transactions, and publish/subscribe, which the channel pattern bounds. Of
# CLIENT only what concerns the connection itself: TRACKING with BCAST would tell the names of others' keys. COMMAND
# LIST takes a pattern, see _MENDED.
CONNECTION = """
auth hello ping echo quit reset time select|0
client|setname client|getname client|id client|setinfo
command|count command|docs command|info command|getkeys
multi exec discard watch unwatch
publish subscribe unsubscribe psubscribe punsubscribe spublish ssubscribe sunsubscribe
"""

# Commands with a fault that ends the server, or worse, and from which patch of each minor version on they have none:
# a crafted pattern (CVE-2024-31228), a crafted HyperLogLog (CVE-2025-32023), an invalid number (CVE-2023-28856),
# crafted arguments of XAUTOCLAIM (CVE-2022-35951) and MSETNX (CVE-2023-28425). A distribution may have mended an older
# one, which its version does not tell.
_CRAFTED_PATTERN = ((6, 2, 16), (7, 2, 6), (7, 4, 1))
_CRAFTED_HYPERLOGLOG = ((6, 2, 19), (7, 2, 10), (7, 4, 5), (8, 0, 3))
_INVALID_NUMBER = ((6, 2, 12), (7, 0, 11))
_MENDED = {
    "hincrbyfloat": _INVALID_NUMBER,
    "xautoclaim": ((6, 2, 0), (7, 0, 5)),
    "msetnx": ((6, 2, 0), (7, 0, 10)),
    **dict.fromkeys(("hscan", "sscan", "zscan"), _CRAFTED_PATTERN),
    **dict.fromkeys(("pfadd", "pfcount", "pfmerge"), _CRAFTED_HYPERLOGLOG),
}


def granted(known: frozenset[str], version: tuple[int, ...], *, confined: bool) -> tuple[str, ...]:
    """What a tenant gets of the commands that a server of `version` knows, in ACL's words without the `+`.

    `known` has `container|subcommand` too where the server lists those (Redis 7.0 does, 6.2 does not). `confined` is
    for a cache over its quota.
    """
    wanted = " ".join((READING, SHRINKING, CONNECTION, "" if confined else WRITING)).split()
    containers = {name.partition("|")[0] for name in known if "|" in name}
    return tuple(word for word in wanted if _is_known(word, known, containers) and _is_sound(word, version))


def _is_known(word: str, known: frozenset[str], containers: set[str]) -> bool:
    """A subcommand where subcommands are listed; else the command is enough: ACL then takes any first argument."""
    name, _, argument = word.partition("|")
    return word in known or (bool(argument) and name in known and name not in containers)


def _is_sound(word: str, version: tuple[int, ...]) -> bool:
    mended = _MENDED.get(word)
    if mended is None or version >= mended[-1]:
        return True
    return any(version[:2] == patch[:2] and version >= patch for patch in mended)
