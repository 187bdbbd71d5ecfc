"""The service's configuration: defaults, then config.yaml, then the environment, read once at the start.

The sections and their options are in sections.py, clusters.py, webhooks.py and forwarding.py, the kinds of value in
values.py and urls.py, the reading in read.py, and the reference page is made in docs.py. Nothing here needs Django.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any, NoReturn
from urllib.parse import urlsplit

from instantlite.config import docs
from instantlite.config.clusters import ClusterConfig, PoolConfig, PostgresConfig
from instantlite.config.docs import Option
from instantlite.config.duration import parse_duration
from instantlite.config.forwarding import ForwardingConfig
from instantlite.config.rates import Rate
from instantlite.config.read import (
    ConfigError,
    Environment,
    blaming,
    given,
    read_file,
    refuse_unknown,
)
from instantlite.config.sections import (
    DatabaseConfig,
    HousekeepingConfig,
    LimitsConfig,
    ObservabilityConfig,
    RedisConfig,
    ServerConfig,
)
from instantlite.config.urls import address
from instantlite.config.values import BadValue
from instantlite.config.webhooks import WebhooksConfig

__all__ = [
    "ClusterConfig",
    "Config",
    "ConfigError",
    "DatabaseConfig",
    "ForwardingConfig",
    "HousekeepingConfig",
    "LimitsConfig",
    "ObservabilityConfig",
    "Option",
    "PoolConfig",
    "PostgresConfig",
    "Rate",
    "RedisConfig",
    "ServerConfig",
    "WebhooksConfig",
    "describe",
    "example",
    "fatal",
    "load",
    "markdown",
    "parse_duration",
]


@dataclass(frozen=True)
class Config:
    """The whole configuration, a field to a section of config.yaml."""

    server: ServerConfig = field(default_factory=ServerConfig)
    database: DatabaseConfig = field(default_factory=DatabaseConfig)
    redis: RedisConfig = field(default_factory=RedisConfig)
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    webhooks: WebhooksConfig = field(default_factory=WebhooksConfig)
    forwarding: ForwardingConfig = field(default_factory=ForwardingConfig)
    housekeeping: HousekeepingConfig = field(default_factory=HousekeepingConfig)
    postgres: PostgresConfig = field(default_factory=PostgresConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    observability: ObservabilityConfig = field(default_factory=ObservabilityConfig)

    def __post_init__(self) -> None:
        """Raise BadValue when the tenants' cluster is given in both its forms."""
        if self.postgres.clusters and self.database.customer_url:
            raise BadValue(
                "give either this list or database.customer_url (CUSTOMER_DATABASE_URL), not both",
                at="postgres.clusters",
            )

    def clusters(self) -> tuple[ClusterConfig, ...]:
        """Return the clusters for tenant databases, each with the host and port to tell tenants.

        Without a list there is one named `default`, on the customer URL or else the platform URL. Without any
        URL there is none: the embedded server stands in, and whoever starts it knows its address.
        """
        if self.postgres.clusters:
            return tuple(_with_address(cluster) for cluster in self.postgres.clusters)
        url = self.database.customer_url or self.database.platform_url
        if not url:
            return ()
        short = self.postgres
        return (
            _with_address(ClusterConfig("default", url, short.public_host, short.public_port, short.max_databases)),
        )


# What `INSTANTLITE_PROFILE=laptop` has for defaults instead, as `manage.py up` sets it: nobody is to meet a limit on
# their own machine. Whatever the file or the environment names counts all the same.
LAPTOP: dict[str, dict[str, Any]] = {
    "limits": {
        "requests": Rate(1000, timedelta(seconds=1), burst=5000),
        "provisions": Rate(10_000, timedelta(days=1)),
        "captures": Rate(1000, timedelta(seconds=1), burst=5000),
    },
    "redis": {"allow_open": True},
    # What runs on the same machine is what one forwards to there.
    "forwarding": {"allow_networks": (ip_network("127.0.0.0/8"), ip_network("::1/128"))},
}
PROFILES: dict[str, dict[str, dict[str, Any]]] = {"": {}, "production": {}, "laptop": LAPTOP}


def load(environ: Mapping[str, str] | None = None) -> Config:
    """Return the configuration for an environment, by default the process's own.

    `server.app_url` and `server.allowed_hosts` come resolved and are never empty. Raises ConfigError for the
    first thing that is wrong.
    """
    variables = os.environ if environ is None else environ
    file, document = read_file(variables.get("CONFIG_PATH", ""))
    environment = Environment(variables)
    profile = PROFILES.get(variables.get("INSTANTLITE_PROFILE", "").strip())
    if profile is None:
        raise ConfigError("INSTANTLITE_PROFILE", "profile", "expected production or laptop")
    with blaming(file):
        refuse_unknown(document, _sections(), "section")
    built = {}
    for name, section in _sections().items():
        with blaming(file, name):
            # A section whose every option is commented out is null in YAML.
            raw = document.get(name)
            values = profile.get(name, {}) | given(section, {} if raw is None else raw)
        values |= environment.overrides(section, name)
        with blaming(file, name):
            built[name] = section(**values)
    with blaming(file):
        return _resolved(Config(**built))


def fatal(error: ConfigError) -> NoReturn:
    """Say in one line on standard error why the service cannot start, and exit with status 1."""
    print(error, file=sys.stderr, flush=True)
    sys.exit(1)


def describe() -> Iterator[Option]:
    """Yield every option in the file's order, those of a cluster under the section `postgres.clusters[]`."""
    for name, section in _sections().items():
        yield from docs.options(name, section)


def markdown() -> str:
    """Return docs/configuration.md as a whole."""
    return docs.page(_sections(), LAPTOP)


def example() -> str:
    """Return config.example.yaml as a whole."""
    return docs.example(_sections())


def _sections() -> dict[str, type[Any]]:
    """Return the dataclass of every section by name."""
    return {item.name: item.type for item in fields(Config) if isinstance(item.type, type)}


def _resolved(config: Config) -> Config:
    """Return the configuration with the defaults that depend on other options filled in."""
    server = config.server
    app_url = server.app_url or f"http://localhost:{server.port}"
    host = urlsplit(app_url).hostname or ""
    own = f"[{host}]" if ":" in host else host
    hosts = server.allowed_hosts or tuple(dict.fromkeys((own, "localhost", "127.0.0.1", "[::1]")))
    return replace(config, server=replace(server, app_url=app_url, allowed_hosts=hosts))


def _with_address(cluster: ClusterConfig) -> ClusterConfig:
    """Return a cluster with the URL's host and port where none are given for the public."""
    host, port = address(cluster.url)
    return replace(cluster, public_host=cluster.public_host or host, public_port=cluster.public_port or port)
