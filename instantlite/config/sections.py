"""The sections of config.yaml, a frozen dataclass each: an option's type, default, reason and override.

The classes check what concerns several options of one section; a BadValue names the option to change.
The sections on tenant clusters are in clusters.py, that on webhook inboxes is in webhooks.py.
"""

# ruff: noqa: RUF009 - option() and required() are dataclasses.field() with the option's metadata

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal

from instantlite.config.rates import Rate, RateKind
from instantlite.config.read import option
from instantlite.config.urls import PostgresUrl, RedisUrl, WebUrl
from instantlite.config.values import (
    BadValue,
    Choice,
    Duration,
    Flag,
    Folder,
    Integer,
    Listing,
    Network,
    Text,
)

HousekeepingMode = Literal["web", "worker", "off"]
LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]
LogFormat = Literal["json", "console"]

_ALLOWED_HOST = Text(
    "host without scheme and port, such as example.com, .example.com or [::1]",
    r"\*|\.?[A-Za-z0-9_-][A-Za-z0-9._-]{0,251}|\[[0-9A-Fa-f:.]{2,45}\]",
    required=True,
)


@dataclass(frozen=True)
class ServerConfig:
    """How the service is reached, and what its instances share."""

    app_url: str = option(
        WebUrl(),
        "",
        "Public base URL with which every URL in every answer starts, because only you know the name callers "
        "use; a trailing slash is dropped, and empty means `http://localhost:<port>`.",
        env="APP_URL",
    )
    host: str = option(
        Text("host name or address", r"[A-Za-z0-9._:-]{1,253}", required=True),
        "127.0.0.1",
        "Address to listen on; loopback by default, so that nothing is public by accident.",
        env="BIND_HOST",
    )
    port: int = option(Integer(1, 65535), 8000, "TCP port to listen on.", env="PORT")
    workers: int = option(
        Integer(1, 64),
        2,
        "Processes that answer requests; each opens its own connections, see `database.pool_max`.",
        env="WEB_CONCURRENCY",
    )
    secret_key: str = option(
        Text("text of at least 32 characters", r".{32,}"),
        "",
        "Signs sessions and derives tokens, fingerprints and tenants' passwords, so all instances must share "
        "it and changing it changes them all; `make run` keeps one in the data folder.",
        env="SECRET_KEY",
        secret=True,
    )
    debug: bool = option(
        Flag(),
        False,
        "Shows tracebacks to whoever causes one; never true where strangers can call.",
        env="DEBUG",
    )
    allowed_hosts: tuple[str, ...] = option(
        Listing(_ALLOWED_HOST, "host names"),
        (),
        "Host headers that are answered, so that a forged one ends up in no link; empty means the host of "
        "`app_url`, `localhost`, `127.0.0.1` and `[::1]`.",
        env="ALLOWED_HOSTS",
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = option(
        Listing(Network(), "networks such as 10.0.0.0/8"),
        (),
        "Proxies whose X-Forwarded-For is believed; from anybody else the header is a way around the rate limits.",
        env="TRUSTED_PROXIES",
    )
    max_body_bytes: int = option(
        Integer(1024, 104_857_600),
        1_048_576,
        "Largest request body in bytes, because a capture is held in memory.",
    )
    data_dir: Path = option(
        Folder(),
        Path(".data"),
        "Folder for the embedded PostgreSQL and the generated secret key; not used when both are given.",
        env="DATA_DIR",
    )


@dataclass(frozen=True)
class DatabaseConfig:
    """The platform's own database, and the server on which tenants get theirs."""

    platform_url: str = option(
        PostgresUrl(),
        "",
        "Database of the service itself; `postgres://` is the same, and empty starts the embedded server.",
        env="DATABASE_URL",
        secret=True,
    )
    customer_url: str = option(
        PostgresUrl(),
        "",
        "Maintenance connection to the tenants' server as the provisioner role, the short form of "
        "`postgres.clusters`; empty means the platform's server, or the embedded one.",
        env="CUSTOMER_DATABASE_URL",
        secret=True,
    )
    pool_min: int = option(Integer(0, 100), 1, "Connections to the platform database that each process keeps open.")
    pool_max: int = option(
        Integer(1, 100),
        4,
        "Most connections to the platform database per process: instances times workers times this, and "
        "housekeeping, must stay within what the server allows, 22 on a small managed PostgreSQL.",
    )
    pool_timeout: timedelta = option(
        Duration("1s", "60s"),
        timedelta(seconds=3),
        "Longest wait for a free connection, after which a caller is better served by a 503 that says when to retry.",
    )

    def __post_init__(self) -> None:
        """Raise BadValue when the pool's bounds cross."""
        if self.pool_min > self.pool_max:
            raise BadValue("is more than pool_max", at="pool_min")


@dataclass(frozen=True)
class RedisConfig:
    """Redis makes the service faster and is never required."""

    url: str = option(
        RedisUrl(),
        "",
        "Redis for rate limits, caches and the tenants' own caches; empty means PostgreSQL alone.",
        env="REDIS_URL",
        secret=True,
    )
    timeout: timedelta = option(
        Duration("1s", "60s"),
        timedelta(seconds=2),
        "Longest wait for Redis where PostgreSQL cannot stand in: handing out and changing tenants' caches.",
    )
    down_for: timedelta = option(
        Duration("1s", "10m"),
        timedelta(seconds=3),
        "How long a Redis that failed is left alone before it is tried again; PostgreSQL stands in meanwhile.",
    )
    customer_url: str = option(
        RedisUrl(),
        "",
        "Redis on which tenants get their caches, as a user that may manage users (ACL); empty means that of `url`.",
        env="CUSTOMER_REDIS_URL",
        secret=True,
    )
    allow_open: bool = option(
        Flag(),
        False,
        "Hands out caches on a Redis that asks nobody for a password, where every tenant is its administrator.",
        env="REDIS_ALLOW_OPEN",
    )
    public_host: str = option(
        Text("host name or address", r"[A-Za-z0-9._:-]{1,253}"),
        "",
        "Host that tenants are told; empty means the host of the URL.",
        env="CUSTOMER_REDIS_PUBLIC_HOST",
    )
    public_port: int = option(
        Integer(0, 65535),
        0,
        "Port that tenants are told; 0 means the port of the URL.",
        env="CUSTOMER_REDIS_PUBLIC_PORT",
    )

    @property
    def tenants_url(self) -> str:
        """The Redis on which tenants get their caches; empty without one."""
        return self.customer_url or self.url


@dataclass(frozen=True)
class LimitsConfig:
    """How often callers may call, what one database or cache may use, and for how long."""

    requests: Rate | None = option(
        RateKind(),
        Rate(10, timedelta(seconds=1), burst=20),
        "Requests of one client, whatever they ask for.",
        env="LIMIT_REQUESTS",
    )
    provisions: Rate | None = option(
        RateKind(),
        Rate(5, timedelta(days=1)),
        "Databases, caches and webhook inboxes that one client is given, taken together.",
        env="LIMIT_PROVISIONS",
    )
    captures: Rate | None = option(
        RateKind(),
        Rate(50, timedelta(seconds=1), burst=200),
        "Requests that one webhook inbox takes in.",
        env="LIMIT_CAPTURES",
    )
    client_ipv4_prefix: int = option(
        Integer(8, 32),
        24,
        "Bits of an IPv4 address that make a client: neighbours in one such network share its limits, because one "
        "customer is often given that many addresses.",
    )
    client_ipv6_prefix: int = option(
        Integer(16, 128),
        48,
        "Bits of an IPv6 address that make a client, as above.",
    )
    default_ttl: timedelta = option(
        Duration("60s", "3650d"), timedelta(hours=24), "Time to live when the caller names none."
    )
    max_ttl: timedelta = option(
        Duration("60s", "3650d"), timedelta(hours=24), "Longest time to live one call may ask for."
    )
    max_lifetime: timedelta = option(
        Duration("60s", "3650d"),
        timedelta(hours=72),
        "Longest life from creation, however often it is extended, so that short-lived stays true.",
    )
    storage_mb: int = option(
        Integer(1, 1_048_576),
        100,
        "Megabytes a database may hold before it is confined to reading and deleting.",
    )
    connections: int = option(
        Integer(1, 1000),
        5,
        "Connections a database accepts at once, so that one tenant cannot take the server's.",
    )
    cache_storage_mb: int = option(
        Integer(1, 1_048_576),
        25,
        "Megabytes of memory a cache may hold before it is confined to reading and deleting.",
    )
    cache_connections: int = option(
        Integer(1, 10_000),
        20,
        "Connections a cache may have open; housekeeping ends the newest above it, since Redis has no such limit.",
    )
    statement_timeout: timedelta = option(
        Duration("1s", "24h"),
        timedelta(seconds=30),
        "Longest a tenant's statement runs before PostgreSQL cancels it.",
    )

    def __post_init__(self) -> None:
        """Raise BadValue when a shorter limit exceeds a longer one."""
        if self.default_ttl > self.max_ttl:
            raise BadValue("is longer than max_ttl", at="default_ttl")
        if self.max_ttl > self.max_lifetime:
            raise BadValue("is longer than max_lifetime", at="max_ttl")


@dataclass(frozen=True)
class HousekeepingConfig:
    """The loop that keeps the pool filled, takes away what has expired and repairs what is left half done."""

    mode: HousekeepingMode = option(
        Choice[HousekeepingMode](("web", "worker", "off")),
        "web",
        "Where it runs: in the web processes, in a process of its own (`worker`), or not in this one (`off`).",
        env="HOUSEKEEPING_MODE",
    )
    interval: timedelta = option(
        Duration("1s", "30s"),
        timedelta(seconds=10),
        "How often timed steps look for work, reaping included; short enough that expiry removes within a minute.",
    )
    repair_interval: timedelta = option(
        Duration("10s", "24h"),
        timedelta(minutes=5),
        "How often the clusters are compared with the records, which costs more than looking at the records alone.",
    )
    tombstones: timedelta = option(
        Duration("60s", "3650d"),
        timedelta(hours=720),
        "How long the record of a removed resource is kept, so that its token can be told it is gone.",
    )


@dataclass(frozen=True)
class ObservabilityConfig:
    """What the service says about itself."""

    log_level: LogLevel = option(
        Choice[LogLevel](("DEBUG", "INFO", "WARNING", "ERROR")),
        "INFO",
        "Least level that is logged.",
        env="LOG_LEVEL",
    )
    log_format: LogFormat = option(
        Choice[LogFormat](("json", "console")),
        "console",
        "One JSON object to a line for machines, or lines for people.",
        env="LOG_FORMAT",
    )
