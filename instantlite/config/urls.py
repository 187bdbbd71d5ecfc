"""URLs as options: what they must look like, and where a PostgreSQL URL leads."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from instantlite.config.values import BadValue, Kind, as_text

REDIS_PORT = 6379
# What redis-py takes from a URL's query and an operator may need. It would hand any other name to its connection, which
# then fails on the first use, and the timeouts are ours.
_REDIS_OPTIONS = frozenset(
    {"db", "password", "ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile"}
)
_ENCODE = "a character such as / ? # @ : % in a user name or password is written percent-encoded"
POSTGRES_PORT = 5432


@dataclass(frozen=True)
class Url(Kind[str]):
    """A URL with one of `schemes`; empty unless `required`."""

    schemes: tuple[str, ...]
    required: bool = False

    @property
    def words(self) -> str:
        """See Kind."""
        return "URL, " + " or ".join(f"{scheme}://" for scheme in self.schemes)

    def read(self, raw: object) -> str:
        """See Kind."""
        url = as_text(raw, f"a {self.words}")
        if not url and not self.required:
            return ""
        scheme, _, rest = url.partition("://")
        if scheme.lower() not in self.schemes or not rest:
            raise BadValue(f"expected a {self.words}")
        return self.normal(f"{scheme.lower()}://{rest}", _split(url))

    def normal(self, url: str, parts: SplitResult) -> str:
        """Return the one spelling in which the rest of the service meets this URL; raises BadValue."""
        return url


class PostgresUrl(Url):
    """A libpq connection URI (PostgreSQL manual 32.1.1.2) with at most one host, normalised to `postgresql://`."""

    def __init__(self, required: bool = False) -> None:
        super().__init__(("postgresql", "postgres"), required)

    def normal(self, url: str, parts: SplitResult) -> str:
        """See Url."""
        address(url)
        return "postgresql://" + url.partition("://")[2]


class RedisUrl(Url):
    """`redis://user:password@host:port/db`, `rediss://` for TLS, or `unix:///path?db=0`, as redis-py reads them."""

    def __init__(self) -> None:
        super().__init__(("redis", "rediss", "unix"))

    def normal(self, url: str, parts: SplitResult) -> str:
        """See Url."""
        unknown = set(parse_qs(parts.query, keep_blank_values=True)) - _REDIS_OPTIONS
        if unknown:
            raise BadValue(f"its query may have {', '.join(sorted(_REDIS_OPTIONS))}, and nothing else")
        database = parse_qs(parts.query).get("db", ["0"])[-1]
        if parts.scheme == "unix":
            if parts.path in ("", "/"):
                raise BadValue("expected unix:///path/of/the/socket")
        elif not parts.hostname:
            raise BadValue("its host is missing")
        elif parts.path not in ("", "/"):
            database = parts.path[1:]
        if not re.fullmatch("[0-9]{1,6}", database):
            raise BadValue("the path after its host is the number of a database, such as /0")
        return url


class WebUrl(Url):
    """An http or https URL that others are built on: no trailing slash, no credentials, no query."""

    def __init__(self) -> None:
        super().__init__(("https", "http"))

    def normal(self, url: str, parts: SplitResult) -> str:
        """See Url."""
        if not parts.hostname or "@" in parts.netloc or parts.query or url.endswith("?"):
            raise BadValue("expected scheme, host, and at most a port and a path")
        return url.rstrip("/")


def redis_address(url: str) -> tuple[str, int]:
    """Return host and port that a Redis URL leads to; a Unix socket is `localhost`, an absent port 6379."""
    parts = _split(url)
    host = "localhost" if parts.scheme.lower() == "unix" else parts.hostname or "localhost"
    return host, parts.port or REDIS_PORT


def address(url: str) -> tuple[str, int]:
    """Return host and port that a PostgreSQL URL leads to; a Unix socket is `localhost`, an absent port 5432.

    An IPv6 host comes without brackets. Raises BadValue when the port is no port.
    """
    parts = _split(url)
    query = parse_qs(parts.query)
    host = unquote(parts.hostname or "") or query.get("host", [""])[-1]
    port = str(parts.port or query.get("port", [""])[-1] or POSTGRES_PORT)
    if not re.fullmatch("[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise BadValue("its port is not a number from 1 to 65535")
    return "localhost" if not host or host.startswith("/") else host, int(port)


def _split(url: str) -> SplitResult:
    """Take a URL apart, refusing what another parser would take apart differently.

    urllib quotes pieces of the URL in its messages, passwords among them: none of those leaves this function.
    """
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise BadValue("a URL holds no spaces and no control characters")
    if re.search(r"%(?![0-9A-Fa-f]{2})", url):
        raise BadValue(f"it holds a % that starts no %XX; {_ENCODE}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise BadValue(f"its host or port cannot be read; {_ENCODE}") from None
    if "#" in url or parts.netloc.count("@") > 1 or "@" in parts.path + parts.query:
        raise BadValue(f"it holds a # or @ out of place; {_ENCODE}")
    if port == 0:
        raise BadValue("its port is not a number from 1 to 65535")
    return parts
