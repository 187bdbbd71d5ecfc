"""The configuration: where values come from, what stops the start, and that no message tells a secret."""

import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from string import Template

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instantlite.config import (
    Config,
    ConfigError,
    describe,
    example,
    load,
    markdown,
    parse_duration,
)
from instantlite.config.duration import write_duration

ROOT = Path(__file__).parents[2]
PASSWORD = "hunter2verysecret"
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start every test where no config.yaml is."""
    monkeypatch.chdir(tmp_path)


def load_text(text: str, **environ: str) -> Config:
    """Load a configuration file with this text."""
    Path("config.yaml").write_text(text, encoding="utf-8")
    return load(environ)


def refusal(text: str = "", **environ: str) -> str:
    """Return the line with which a configuration is refused, without its beginning."""
    with pytest.raises(ConfigError) as caught:
        load_text(text, **environ)
    line = str(caught.value)
    assert line.startswith("instantlite: fatal: ")
    assert len(line.splitlines()) == 1
    return line.removeprefix("instantlite: fatal: ")


def test_without_a_file_every_option_has_its_default() -> None:
    config = load({})
    assert config.server.port == 8000
    assert config.limits.max_lifetime == timedelta(hours=72)
    assert config.postgres.extensions == ("vector",)
    assert config.housekeeping.interval == timedelta(seconds=10)
    assert config.server.data_dir == Path(".data")
    assert config.clusters() == ()


@pytest.mark.parametrize("text", ["", "# nothing\n", "server:\nlimits:\n", "---\n", "\ufeffserver: {}\n"])
def test_an_empty_file_or_section_means_defaults(text: str) -> None:
    assert load_text(text) == load({})


def test_the_environment_overrides_the_file_and_the_file_the_default() -> None:
    config = load_text("server: {port: 9000, workers: 3}", PORT="9001")
    assert (config.server.port, config.server.workers) == (9001, 3)


def test_an_empty_variable_counts_as_not_set() -> None:
    config = load_text("server: {port: 9000}", PORT="", HOST=" ", CONFIG_PATH="", SECRET_KEY="")
    assert (config.server.port, config.server.host) == (9000, "127.0.0.1")


def test_config_path_names_the_file() -> None:
    Path("other.yaml").write_text("server: {port: 9000}")
    assert load({"CONFIG_PATH": "other.yaml"}).server.port == 9000


def test_a_variable_may_name_a_file_that_holds_the_value() -> None:
    Path("secret").write_text(KEY + "\n")
    assert load({"SECRET_KEY_FILE": "secret"}).server.secret_key == KEY


def test_a_missing_secret_file_is_refused_under_its_variable() -> None:
    assert refusal(SECRET_KEY_FILE="/no/such").startswith("SECRET_KEY_FILE: server.secret_key: ")


def test_a_secret_key_may_begin_with_a_dollar_sign() -> None:
    assert load({"SECRET_KEY": "$" + KEY}).server.secret_key == "$" + KEY


@pytest.mark.parametrize(
    ("variable", "text", "section", "name", "expected"),
    [
        ("DEBUG", "true", "server", "debug", True),
        ("DEBUG", "0", "server", "debug", False),
        ("DEBUG", "OFF", "server", "debug", False),
        ("ALLOWED_HOSTS", "a.example, .b.example,", "server", "allowed_hosts", ("a.example", ".b.example")),
        ("TRUSTED_PROXIES", "10.0.0.0/8,::1", "server", "trusted_proxies", ("10.0.0.0/8", "::1/128")),
        ("DATA_DIR", "/var/lib/lite", "server", "data_dir", Path("/var/lib/lite")),
        ("REDIS_URL", "unix:///run/redis.sock", "redis", "url", "unix:///run/redis.sock"),
        ("HOUSEKEEPING_MODE", "off", "housekeeping", "mode", "off"),
        ("LOG_LEVEL", "debug", "observability", "log_level", "DEBUG"),
        ("WEB_CONCURRENCY", "64", "server", "workers", 64),
    ],
)
def test_variables_are_read_as_their_option_s_type(
    variable: str, text: str, section: str, name: str, expected: object
) -> None:
    value = getattr(getattr(load({variable: text}), section), name)
    if name == "trusted_proxies":
        assert isinstance(expected, tuple)
        expected = tuple(ip_network(item) for item in expected)
    assert value == expected


@pytest.mark.parametrize("word", ["off", '"off"', "OFF"])
def test_the_mode_off_needs_no_quotes(word: str) -> None:
    assert load_text(f"housekeeping: {{mode: {word}}}").housekeeping.mode == "off"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("sever: {}", 'sever: unknown section; did you mean "server"?'),
        ("server: {prot: 1}", 'server.prot: unknown option; did you mean "port"?'),
        ("limits: {qqq: 1}", "limits.qqq: unknown option; known are requests, provisions"),
        ("server: 5", "server: expected a mapping of options, got a number"),
        ("server: []", "server: expected a mapping"),
        ("server: false", "server: expected a mapping"),
        ("- server", "top level: expected sections, got a list"),
        ("just text", "top level: expected sections, got text"),
        ("0", "top level: expected sections, got a number"),
        ("server: {port: yes}", "server.port: expected a whole number, 1 to 65535, got a boolean"),
        ('server: {port: "80"}', "server.port: expected a whole number, 1 to 65535, got text"),
        ("server: {port: 80.5}", "server.port: expected a whole number"),
        ("server: {port: }", "server.port: expected a whole number, 1 to 65535, got nothing"),
        ("server: {port: 0}", "server.port: "),
        ("server: {port: 70000}", "server.port: "),
        ("server: {workers: 0}", "server.workers: "),
        ("server: {workers: 65}", "server.workers: "),
        ("server: {debug: 1}", "server.debug: "),
        ('server: {debug: "true"}', "server.debug: "),
        ("server: {host: 1}", "server.host: "),
        ('server: {host: ""}', "server.host: "),
        ('server: {data_dir: ""}', "server.data_dir: "),
        ("server: {max_body_bytes: -1}", "server.max_body_bytes: "),
        ("server: {secret_key: short}", "server.secret_key: expected text of at least 32 characters"),
        ("server: {app_url: ftp://x}", "server.app_url: expected a URL, https:// or http://"),
        ("server: {app_url: lite.example}", "server.app_url: "),
        ("server: {app_url: http://}", "server.app_url: "),
        ("server: {app_url: 'http://:80'}", "server.app_url: "),
        ("server: {app_url: 'https://a/?b=c'}", "server.app_url: "),
        ("server: {app_url: 'https://u:p@a'}", "server.app_url: "),
        (
            "server: {allowed_hosts: a.example}",
            "server.allowed_hosts: expected a list of host names, got text",
        ),
        ("server: {allowed_hosts: [ok, 'https://a']}", "server.allowed_hosts[1]: "),
        ("server: {trusted_proxies: [10.0.0.0/8, 10.0.0.0/33]}", "server.trusted_proxies[1]: "),
        ("server: {trusted_proxies: [10.0.0.1/8]}", "server.trusted_proxies[0]: "),
        ("server: {trusted_proxies: [10]}", "server.trusted_proxies[0]: "),
        ("database: {pool_min: -1}", "database.pool_min: "),
        ("database: {pool_min: 5}", "database.pool_min: is more than pool_max"),
        ("database: {platform_url: mysql://h/d}", "database.platform_url: expected a URL, postgresql://"),
        ("database: {platform_url: postgres}", "database.platform_url: "),
        ("database: {platform_url: 'postgresql://'}", "database.platform_url: "),
        ("database: {platform_url: 'postgres://h:0/d'}", "database.platform_url: "),
        ("database: {platform_url: 'postgres:///d?port=x'}", "database.platform_url: "),
        ("redis: {url: http://h}", "redis.url: "),
        ("redis: {url: 'redis://'}", "redis.url: "),
        ("redis: {url: 'redis://:6379'}", "redis.url: its host is missing"),
        ("redis: {url: 'redis://h:99999'}", "redis.url: "),
        ("redis: {url: 'redis://h:port'}", "redis.url: "),
        ("redis: {url: 'redis://h/zero'}", "redis.url: the path after its host is the number of a database"),
        ("redis: {url: 'redis://h?db=x'}", "redis.url: the path after its host is the number of a database"),
        ("redis: {url: 'redis://h?socket_timeout=9'}", "redis.url: its query may have db, "),
        ("redis: {url: 'redis://a:b@c@h'}", "redis.url: it holds a # or @ out of place"),
        ("redis: {url: 'unix://'}", "redis.url: "),
        ("redis: {url: 'unix:///'}", "redis.url: expected unix:///path"),
        ("limits: {requests: 10}", "limits.requests: expected a rate such as"),
        ("limits: {requests: 10/w}", "limits.requests: expected a rate such as"),
        ("limits: {requests: 0/s}", "limits.requests: a rate and its burst are at least 1"),
        ("limits: {requests: 1/s burst 0}", "limits.requests: a rate and its burst are at least 1"),
        ("limits: {requests: 1/d burst 3651}", "limits.requests: a burst is at most what the rate gives in ten years"),
        ("limits: {requests: 2000000/s}", "limits.requests: a rate is at most a million in a second"),
        ("limits: {requests: -1/s}", "limits.requests: expected a rate such as"),
        ("limits: {default_ttl: 25h}", "limits.default_ttl: is longer than max_ttl"),
        ("limits: {max_ttl: 73h}", "limits.max_ttl: is longer than max_lifetime"),
        ("limits: {default_ttl: 59s}", "limits.default_ttl: expected a duration, 60s to 3650d"),
        ("limits: {default_ttl: 59}", "limits.default_ttl: "),
        ("limits: {default_ttl: -5m}", "limits.default_ttl: "),
        ("limits: {default_ttl: 1.5}", "limits.default_ttl: "),
        ("limits: {default_ttl: yes}", "limits.default_ttl: "),
        ("limits: {storage_mb: -1}", "limits.storage_mb: "),
        ("limits: {connections: 0}", "limits.connections: "),
        ("housekeeping: {interval: 31s}", "housekeeping.interval: "),
        ("housekeeping: {mode: wrok}", "housekeeping.mode: expected one of web, worker, off"),
        ("housekeeping: {mode: on}", "housekeeping.mode: "),
        ("postgres: {extensions: [Vector]}", "postgres.extensions[0]: "),
        ("postgres: {clusters: {}}", "postgres.clusters: expected a list of clusters, got a mapping"),
        ("postgres: {clusters: [{name: a}]}", "postgres.clusters[0].url: is required"),
        ("postgres: {clusters: [{name: A, url: 'postgres://h'}]}", "postgres.clusters[0].name: "),
        ("postgres: {clusters: [{name: a, url: ''}]}", "postgres.clusters[0].url: "),
        (
            "postgres: {clusters: [{nmae: a}]}",
            'postgres.clusters[0].nmae: unknown option; did you mean "name"?',
        ),
        (
            "postgres: {clusters: [{name: a, url: 'postgres://h'}, {name: a, url: 'postgres://i'}]}",
            "postgres.clusters[1].name: is the name of an earlier cluster too",
        ),
        (
            "database: {customer_url: 'postgres://h'}\npostgres: {clusters: [{name: a, url: 'postgres://h'}]}",
            "postgres.clusters: give either this list or database.customer_url",
        ),
        ("server: {port: 1}\nserver: {port: 2}", "server: is given twice"),
        ("server: {port: 1, 'port': 2}", "server.port: is given twice"),
        ("postgres: {clusters: [{name: a, name: b}]}", "postgres.clusters[0].name: is given twice"),
        ("server: {app_url: '${APP_URL}'}", "server.app_url: still holds ${APP_URL}"),
        ("server: {port: '${PORT}'}", "server.port: still holds ${PORT}"),
        ("server: {allowed_hosts: ['${HOST_NAME}']}", "server.allowed_hosts[0]: still holds ${HOST_NAME}"),
        ("${WHOLE}", "whole file: "),
        ("server:\n  port: [1\n", "line 3, column 1: "),
        ("server:\n\tport: 1", "line 2, column 1: "),
        ("server:\n  host: \x07", "line 2, column 9: "),
        ("server: !!python/name:os.system x", "line 1, column 9: "),
        ("server: {port: !!int x}", "whole file: "),
        ("server: {host: 2026-13-40}", "whole file: "),
        ("server: {host: 2026-12-04}", "server.host: "),
        ("a: 1\n---\nb: 2", "line 2, column 1: "),
        ("server: &a [*a]", "server[0]: an alias leads back to itself"),
        ("[" * 5000, "whole file: it is nested too deeply"),
        ("1: 2", "1: unknown section"),
        ("? [a]\n: b", "line 1, column 3: "),
        ('"a\\nb": 1', "(a key that is no plain word): unknown section"),
    ],
)
def test_a_wrong_file_is_refused_by_file_key_and_reason(text: str, where: str) -> None:
    assert refusal(text).startswith(f"config.yaml: {where}")


@pytest.mark.parametrize(
    ("variable", "text", "key"),
    [
        ("PORT", "eighty", "server.port"),
        ("PORT", "70000", "server.port"),
        ("PORT", "\u0668\u0660", "server.port"),
        ("PORT", "1_000", "server.port"),
        ("PORT", "9" * 5000, "server.port"),
        ("DEBUG", "ture", "server.debug"),
        ("DEBUG", "2", "server.debug"),
        ("SECRET_KEY", "short", "server.secret_key"),
        ("APP_URL", "${APP_URL}", "server.app_url"),
        ("DATABASE_URL", "${db.DATABASE_URL}", "database.platform_url"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,x", "server.trusted_proxies[1]"),
        ("CUSTOMER_PUBLIC_PORT", "-1", "postgres.public_port"),
        ("LOG_FORMAT", "xml", "observability.log_format"),
    ],
)
def test_a_wrong_variable_is_refused_by_variable_and_key(variable: str, text: str, key: str) -> None:
    assert refusal(**{variable: text}).startswith(f"{variable}: {key}: ")


def test_a_customer_url_in_the_environment_conflicts_with_clusters_in_the_file() -> None:
    text = "postgres: {clusters: [{name: a, url: 'postgres://h'}]}"
    assert refusal(text, CUSTOMER_DATABASE_URL="postgres://h").startswith("config.yaml: postgres.clusters: ")


@pytest.mark.parametrize("path", ["missing.yaml", "/no/such/folder/config.yaml", ".", "a\0b"])
def test_a_config_path_that_cannot_be_read_is_refused(path: str) -> None:
    assert refusal(CONFIG_PATH=path).startswith("CONFIG_PATH: ")


def test_a_file_that_is_not_utf8_is_refused() -> None:
    Path("latin.yaml").write_bytes(b"server: {host: \xe9}")
    assert refusal(CONFIG_PATH="latin.yaml") == "CONFIG_PATH: latin.yaml: it is not UTF-8 text"


@pytest.mark.parametrize(
    "url",
    [
        f"mysql://u:{PASSWORD}@h/d",
        f"postgres://u:{PASSWORD}@h:port/d",
        f"postgres://u:{PASSWORD}@h:99999/d",
        f"postgres://u:{PASSWORD}/x@h/d",
        f"postgres://u:12/{PASSWORD}@h/d",
        f"postgres://u:12?{PASSWORD}@h/d",
        f"postgres://u:12#{PASSWORD}@h/d",
        f"postgres://u:{PASSWORD}@x@h/d",
        f"postgres://u:{PASSWORD}@[::1/d",
        f"postgres://u:{PASSWORD}@[zz]/d",
        f"postgres://u:{PASSWORD}\u2100@h/d",
        f"postgres://u:{PASSWORD}%zz@h/d",
        f"postgres://u:{PASSWORD} @h/d",
        f"postgres://{PASSWORD}@h/d?port={PASSWORD}",
        PASSWORD,
    ],
)
def test_a_refused_url_never_shows_its_password(url: str) -> None:
    assert PASSWORD not in refusal(DATABASE_URL=url)
    quoted = url.replace("'", "''")
    assert PASSWORD not in refusal(f"database: {{platform_url: '{quoted}'}}")
    assert PASSWORD not in refusal(f"postgres: {{clusters: [{{name: a, url: '{quoted}'}}]}}")


@pytest.mark.parametrize(
    "text",
    [
        f"server:\n  secret_key: *{PASSWORD}",
        f"server:\n  secret_key: !{PASSWORD} x",
        f"server:\n  secret_key: !<{PASSWORD}> x",
        f"server:\n  secret_key: '{PASSWORD}",
        f'server:\n  secret_key: "\\{PASSWORD}"',
        f"server:\n  secret_key: @{PASSWORD}",
        f"server:\n  secret_key: a: {PASSWORD}",
        f"server:\n  secret_key: [{PASSWORD}",
        f"server:\n  postgres://u:{PASSWORD}@h/d: x",
        f"server:\n  postgres://u:{PASSWORD}@h/d",
        f"server:\n  port: {PASSWORD}",
        f"server:\n  secret_key: [{PASSWORD}]",
        f"limits:\n  default_ttl: {PASSWORD}",
        f"observability:\n  log_level: {PASSWORD}",
    ],
)
def test_a_refused_file_never_shows_what_stood_in_it(text: str) -> None:
    assert PASSWORD not in refusal(text)


def refusal_if_any(environ: dict[str, str]) -> str:
    """Load a configuration; return the line it is refused with, or nothing. Other exceptions pass."""
    try:
        load(environ).clusters()
    except ConfigError as error:
        return str(error)
    return ""


@given(st.text(max_size=40))
def test_whatever_a_url_holds_it_is_taken_or_refused_in_one_line_without_its_password(text: str) -> None:
    for url in (text, f"postgres://{text}", f"postgres://u:{PASSWORD}@{text}", f"postgres://h/d?{text}"):
        line = refusal_if_any({"DATABASE_URL": url})
        assert PASSWORD not in line
        assert len(line.splitlines()) <= 1


@given(st.one_of(st.text(max_size=60), st.text("[]{}:*&!|>'\"%@-? \n#ab0", max_size=60)))
def test_whatever_a_file_holds_it_is_taken_or_refused_in_one_line(text: str) -> None:
    Path("config.yaml").write_text(text, encoding="utf-8", errors="replace")
    assert len(refusal_if_any({}).splitlines()) <= 1


def test_secrets_are_not_in_the_repr() -> None:
    url = f"postgresql://u:{PASSWORD}@h/d"
    config = load({"DATABASE_URL": url, "REDIS_URL": f"redis://:{PASSWORD}@h", "SECRET_KEY": KEY})
    assert PASSWORD not in repr(config)
    assert KEY not in repr(config)
    assert PASSWORD not in repr(config.clusters())


@pytest.mark.parametrize(
    ("environ", "app_url", "first_host"),
    [
        ({}, "http://localhost:8000", "localhost"),
        ({"PORT": "9000"}, "http://localhost:9000", "localhost"),
        ({"APP_URL": "https://lite.example/"}, "https://lite.example", "lite.example"),
        ({"APP_URL": "HTTPS://lite.example/base/"}, "https://lite.example/base", "lite.example"),
        ({"APP_URL": "http://[::2]:80"}, "http://[::2]:80", "[::2]"),
    ],
)
def test_the_app_url_and_allowed_hosts_come_resolved(environ: dict[str, str], app_url: str, first_host: str) -> None:
    server = load(environ).server
    assert server.app_url == app_url
    assert server.allowed_hosts[0] == first_host
    assert {"localhost", "127.0.0.1", "[::1]"} <= set(server.allowed_hosts)
    assert len(set(server.allowed_hosts)) == len(server.allowed_hosts)


def test_allowed_hosts_that_are_given_stand_alone() -> None:
    assert load({"ALLOWED_HOSTS": "a.example"}).server.allowed_hosts == ("a.example",)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "POSTGRES"])
def test_postgres_urls_have_one_spelling_and_keep_their_query(scheme: str) -> None:
    url = load({"DATABASE_URL": f"{scheme}://u:p%40@h/d?sslmode=require"}).database.platform_url
    assert url == "postgresql://u:p%40@h/d?sslmode=require"


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("postgresql://u:p@db.example:25060/d?sslmode=require", "db.example", 25060),
        ("postgresql://u@db.example/d", "db.example", 5432),
        ("postgresql://[::1]:5433/d", "::1", 5433),
        ("postgresql:///d?host=/run/postgresql&port=5433", "localhost", 5433),
        ("postgresql://%2Frun%2Fpostgresql/d", "localhost", 5432),
        ("postgresql:///d?host=db.example", "db.example", 5432),
    ],
)
def test_the_default_cluster_takes_host_and_port_from_its_url(url: str, host: str, port: int) -> None:
    (cluster,) = load({"CUSTOMER_DATABASE_URL": url, "DATABASE_URL": "postgres://other/d"}).clusters()
    assert (cluster.name, cluster.url, cluster.public_host, cluster.public_port) == (
        "default",
        url,
        host,
        port,
    )


def test_the_default_cluster_falls_back_to_the_platform_s_server() -> None:
    (cluster,) = load({"DATABASE_URL": "postgres://h/d", "CUSTOMER_PUBLIC_HOST": "pub"}).clusters()
    assert (cluster.url, cluster.public_host, cluster.public_port) == ("postgresql://h/d", "pub", 5432)


def test_listed_clusters_come_in_order_with_their_addresses() -> None:
    one, two = load_text(
        "postgres:\n  clusters:\n"
        "    - {name: one, url: 'postgres://a:1/d'}\n"
        "    - {name: two, url: 'postgres://b:2/d', public_host: p, public_port: 3, max_databases: 7}\n"
    ).clusters()
    assert (one.name, one.public_host, one.public_port, one.max_databases) == ("one", "a", 1, 1000)
    assert (two.name, two.public_host, two.public_port, two.max_databases) == ("two", "p", 3, 7)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("24h", 86400),
        ("7d", 604800),
        ("1h30m", 5400),
        ("1d1h1m1s", 90061),
        ("0s", 0),
        ("007s", 7),
        ("3650d", 315360000),
        (90, 90),
        (0, 0),
    ],
)
def test_durations_are_numbers_with_units(text: str | int, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "5", "h", "-5m", "+5m", "1.5h", "5 m", " 5m", "5m ", "5m\n", "5M", "5min", "1m1h", "1h1h"),
        *("\u0665m", "\u00b2s", "5m\u00a0", "1_0s", "0x1s", "1e3s", "5m\0"),
        *("0000000000001s", "99999999999d", "3651d"),
        *(-1, 10**30, True, False, 1.5, None, [], b"5m"),
    ],
)
def test_anything_else_is_no_duration(text: str | int) -> None:
    with pytest.raises(ValueError, match=r"^a duration is "):
        parse_duration(text)


@given(st.integers(0, 315_360_000))
def test_a_written_duration_reads_back(seconds: int) -> None:
    assert parse_duration(write_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


@given(st.one_of(st.text(), st.text("0123456789dhms -+.", max_size=14), st.integers()))
def test_a_duration_is_within_ten_years_or_refused(text: str | int) -> None:
    try:
        duration = parse_duration(text)
    except ValueError:
        return
    assert timedelta(0) <= duration <= timedelta(days=3650)
    assert isinstance(text, int) or (text.isascii() and text.isalnum() and len(text) <= 12)


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 99))
def test_units_add_up(days: int, hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    assert parse_duration(f"{days}d{hours}h{minutes}m{seconds}s") == expected


def test_the_reference_page_is_what_the_code_says() -> None:
    assert (ROOT / "docs/configuration.md").read_text(encoding="utf-8") == markdown()


def test_describe_tells_every_option_of_every_section() -> None:
    told = {(option.section, option.name) for option in describe()}
    for section in fields(Config):
        value = getattr(Config(), section.name)
        assert {(section.name, option.name) for option in fields(value)} <= told
    assert ("postgres.clusters[]", "url") in told
    assert all(option.help.endswith(".") and option.type and option.default for option in describe())


def test_no_two_options_share_a_variable() -> None:
    names = [option.env for option in describe() if option.env]
    assert len(names) == len(set(names))


def test_the_example_is_generated_complete_and_says_the_defaults() -> None:
    text = (ROOT / "config.example.yaml").read_text(encoding="utf-8")
    assert text == example()
    assert load_text(text) == load({})
    uncommented = text.replace("\n  # ", "\n  ")
    for option in describe():
        if "[" not in option.section:
            assert f"\n  {option.name}: {option.default}\n" in uncommented
    assert load_text(uncommented) == load({})


@pytest.mark.parametrize("optional", [True, False])
def test_the_production_template_loads_once_filled_in(optional: bool) -> None:
    values = {
        "DATABASE_URL": "postgres://u:p@h:25060/d?sslmode=require",
        "APP_URL": "https://lite.example",
        "SECRET_KEY": KEY,
        "REDIS_URL": "rediss://h:25061" if optional else "",
        "CUSTOMER_DATABASE_URL": "postgres://u:p@c/d" if optional else "",
    }
    config = load_text(Template((ROOT / "config.prod.yaml.tpl").read_text()).substitute(values))
    assert config.server.app_url == "https://lite.example"
    assert (config.server.host, config.server.secret_key) == ("0.0.0.0", KEY)
    assert config.redis.url == values["REDIS_URL"]
    assert config.clusters()[0].public_host == ("c" if optional else "h")
    assert config.observability.log_format == "json"
    limits = (config.limits.requests, config.limits.provisions, config.limits.captures)
    assert [str(rate) for rate in limits] == ["10/s burst 20", "5/d", "50/s burst 200"]


def test_the_production_template_is_refused_as_long_as_it_is_a_template() -> None:
    text = (ROOT / "config.prod.yaml.tpl").read_text()
    assert refusal(text).startswith("config.yaml: server.app_url: still holds ${APP_URL}")


def run(code: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a Python of its own on some code, with this environment alone."""
    return subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


START = """
from instantlite.config import ConfigError, fatal, load
try:
    load()
except ConfigError as error:
    fatal(error)
print("started")
"""


def test_a_process_with_a_broken_file_says_one_line_and_exits_with_1() -> None:
    Path("broken.yaml").write_text("server: {prot: 80}")
    done = run(START, CONFIG_PATH="broken.yaml")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == ('instantlite: fatal: broken.yaml: server.prot: unknown option; did you mean "port"?\n')


def test_a_process_reads_its_own_environment() -> None:
    assert run(START, PORT="0").stderr.startswith("instantlite: fatal: PORT: server.port: ")
    assert run(START).stdout == "started\n"


def test_the_configuration_needs_no_django_settings() -> None:
    done = run("import sys, instantlite.config; print('django.conf' in sys.modules)")
    assert done.stdout == "False\n", done.stderr


@pytest.mark.parametrize(
    ("text", "count", "period", "capacity"),
    [
        ("10/s burst 20", 10, timedelta(seconds=1), 20),
        ("5/d", 5, timedelta(days=1), 5),
        ("100 / m", 100, timedelta(minutes=1), 100),
        ("1/h burst 3", 1, timedelta(hours=1), 3),
        ("1000000/s", 1_000_000, timedelta(seconds=1), 1_000_000),
    ],
)
def test_a_rate_is_read_from_a_file_and_from_the_environment(
    text: str, count: int, period: timedelta, capacity: int
) -> None:
    from_file = load_text(f"limits: {{requests: {text}}}").limits.requests
    from_environment = load({"LIMIT_REQUESTS": text}).limits.requests
    assert from_file == from_environment
    assert from_file is not None
    assert (from_file.count, from_file.period, from_file.capacity) == (count, period, capacity)


@pytest.mark.parametrize("text", ["off", "'off'", "OFF"])
def test_a_limit_can_be_lifted(text: str) -> None:
    assert load_text(f"limits: {{provisions: {text}}}").limits.provisions is None


def test_a_laptop_has_generous_limits_and_what_is_named_counts_all_the_same() -> None:
    strict, laptop = load({}).limits, load({"INSTANTLITE_PROFILE": "laptop"}).limits
    assert str(strict.provisions) == "5/d"
    assert laptop.provisions is not None
    assert laptop.provisions.count >= 1000
    assert laptop.storage_mb == strict.storage_mb
    named = load({"INSTANTLITE_PROFILE": "laptop", "LIMIT_PROVISIONS": "3/d"})
    assert str(named.limits.provisions) == "3/d"


def test_an_unknown_profile_stops_the_start() -> None:
    with pytest.raises(ConfigError, match="INSTANTLITE_PROFILE: profile: expected production or laptop"):
        load({"INSTANTLITE_PROFILE": "labtop"})
