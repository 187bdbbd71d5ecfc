"""The sections of config.yaml on the clusters that hold tenants, and on the pool of databases there."""

# ruff: noqa: RUF009 - option() and required() are dataclasses.field() with the option's metadata

from dataclasses import dataclass
from datetime import timedelta

from instantlite.config.read import Records, option, required
from instantlite.config.urls import PostgresUrl
from instantlite.config.values import BadValue, Duration, Integer, Listing, Text

_HOST = Text("host name or address", r"[A-Za-z0-9._:-]{1,253}")
_PUBLIC_PORT = Integer(0, 65535)
_MAX_DATABASES = Integer(1, 100_000)


@dataclass(frozen=True)
class ClusterConfig:
    """A PostgreSQL server that holds tenant databases."""

    name: str = required(
        Text("1 to 40 of the characters a-z, 0-9 and -", r"[a-z0-9-]{1,40}", required=True),
        "Name under which the platform remembers the cluster; databases point to it, so it never changes.",
    )
    url: str = required(
        PostgresUrl(required=True),
        "Maintenance connection to the cluster as the provisioner role.",
        secret=True,
    )
    public_host: str = option(_HOST, "", "Host that tenants are told; empty means the host of `url`.")
    public_port: int = option(_PUBLIC_PORT, 0, "Port that tenants are told; 0 means the port of `url`.")
    max_databases: int = option(_MAX_DATABASES, 1000, "Most databases placed on the cluster, those kept warm included.")


@dataclass(frozen=True)
class PostgresConfig:
    """The PostgreSQL clusters on which tenant databases live."""

    clusters: tuple[ClusterConfig, ...] = option(
        Records(ClusterConfig, "clusters"),
        (),
        "The clusters to spread databases over, instead of the one of `database.customer_url`.",
    )
    public_host: str = option(
        _HOST,
        "",
        "Host that tenants are told when there is no list of clusters; empty means the host of the URL.",
        env="CUSTOMER_PUBLIC_HOST",
    )
    public_port: int = option(
        _PUBLIC_PORT,
        0,
        "Port that tenants are told when there is no list of clusters; 0 means the port of the URL.",
        env="CUSTOMER_PUBLIC_PORT",
    )
    max_databases: int = option(_MAX_DATABASES, 1000, "Most databases when there is no list of clusters.")
    extensions: tuple[str, ...] = option(
        Listing(Text("name of an extension", r"[a-z][a-z0-9_-]{0,62}", required=True), "extensions"),
        ("vector",),
        "Extensions created in every database, because a tenant's role may not create them itself.",
    )
    connect_timeout: timedelta = option(
        Duration("1s", "60s"), timedelta(seconds=3), "Longest wait for a cluster to accept a connection."
    )
    pool_max: int = option(Integer(1, 100), 3, "Most administrative connections per process and cluster.")
    down_for: timedelta = option(
        Duration("0s", "10m"),
        timedelta(seconds=5),
        "How long a cluster that did not answer is left alone, so that requests do not each wait for it.",
    )

    def __post_init__(self) -> None:
        """Raise BadValue when two clusters share a name."""
        names = [cluster.name for cluster in self.clusters]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise BadValue("is the name of an earlier cluster too", at=f"clusters[{index}].name")


@dataclass(frozen=True)
class PoolConfig:
    """Finished databases that wait for a caller, so that nobody waits for CREATE DATABASE."""

    size: int = option(
        Integer(0, 1000),
        10,
        "Finished databases kept warm over all clusters; 0 builds each on request.",
        env="POOL_SIZE",
    )
    parallel_builds: int = option(
        Integer(1, 16), 2, "Databases a process builds at once; more only queue up for the disk."
    )
    build_lease: timedelta = option(
        Duration("10s", "1h"),
        timedelta(seconds=60),
        "After this long an unfinished build counts as abandoned.",
    )
    wait: timedelta = option(
        Duration("0s", "5m"),
        timedelta(seconds=20),
        "Longest a request waits for a build when the pool is empty.",
    )
