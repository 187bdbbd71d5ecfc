"""What callers meet: which request costs what, what a refusal says, and the RateLimit fields of every answer."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError, connection
from pytest_django.fixtures import Settings
from rest_framework.test import APIClient

from instantlite import telemetry
from instantlite.config import Rate
from provisioning.models import Cluster
from ratelimit import clients, stores
from tests.ratelimit.conftest import configure
from tests.service import Service

DAY = timedelta(days=1)


def per_day(burst: int) -> Rate:
    """So many at once, and nothing comes back while the test runs."""
    return Rate(1, DAY, burst=burst)


Limits = Callable[..., None]


@pytest.fixture
def limited(settings: Settings, db: None) -> Limits:
    """Sets limits by name; those that are not named are lifted."""

    def set_to(**limits: Rate) -> None:
        lifted = dict.fromkeys(("requests", "provisions", "captures"))
        configure(settings, "", **{**lifted, **limits})

    return set_to


def fields(answer: Any) -> dict[str, dict[str, str]]:
    """The RateLimit fields of an answer, by limit: q, w, r, t and pk."""
    found: dict[str, dict[str, str]] = {}
    for header in ("RateLimit-Policy", "RateLimit"):
        for item in answer.headers.get(header, "").split(", "):
            if item:
                name, *parameters = item.split(";")
                values = dict(parameter.split("=", 1) for parameter in parameters)
                found.setdefault(name.strip('"'), {}).update(values)
    return found


def test_beyond_the_limit_is_429_that_says_what_to_do(api: APIClient, limited: Limits) -> None:
    limited(requests=per_day(2))
    assert [api.get("/db/x").status_code for _ in range(3)] == [404, 404, 429]
    refused = api.get("/db/x")
    body = refused.json()
    assert body["ok"] is False
    assert body["error"] == "rate_limited"
    assert "'requests'" in body["message"]
    assert "1 a day, up to 2 at once" in body["message"]
    assert body["request_id"] == refused["X-Request-Id"]
    assert 86_000 < body["retry_after_seconds"] <= 86_400
    assert refused["Retry-After"] == str(body["retry_after_seconds"])
    assert refused["Content-Type"] == "application/json"


def test_every_answer_says_where_the_client_stands(api: APIClient, limited: Limits) -> None:
    limited(requests=Rate(10, timedelta(days=1), burst=20))
    first, second = api.get("/db/x"), api.get("/db/x")
    assert fields(first)["requests"].items() >= {"q": "20", "w": "172800", "r": "19", "t": "8640"}.items()
    assert fields(second)["requests"]["r"] == "18"
    # Structured Fields (RFC 9651): a String with parameters, the key a Byte Sequence.
    assert re.fullmatch(r'"requests";q=20;w=172800;pk=:[A-Za-z0-9+/]+=*:', first["RateLimit-Policy"])
    assert re.fullmatch(r'"requests";r=19;t=8640;pk=:[A-Za-z0-9+/]+=*:', first["RateLimit"])


def test_a_refusal_says_so_in_its_fields_too(api: APIClient, limited: Limits) -> None:
    limited(requests=per_day(1))
    api.get("/db/x")
    refused = api.get("/db/x")
    assert (refused.status_code, fields(refused)["requests"]["r"]) == (429, "0")


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/openapi.json", "/db/x", "/nothing", "/admin/", "/admin/login/", "/static/nothing.css"]
)
def test_whatever_is_public_is_limited(api: APIClient, limited: Limits, path: str) -> None:
    limited(requests=per_day(1))
    first = api.get(path)
    assert first.status_code != 429
    assert fields(first)["requests"]["r"] == "0"
    refused = api.get(path, headers={"accept": "text/html"})
    assert refused.status_code == 429
    assert refused["Retry-After"]


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz/"])
def test_probes_are_not(api: APIClient, limited: Limits, path: str) -> None:
    limited(requests=per_day(1))
    for _ in range(3):
        answer = api.get(path)
        assert answer.status_code == 200
        assert not answer.has_header("RateLimit")


def test_files_are_not(service: Service) -> None:
    assert "RateLimit" in service.get("/").headers
    assert "RateLimit" not in service.get("/static/style.css").headers


@pytest.mark.parametrize(
    "send",
    [
        lambda api: api.post("/db/new", {"nmae": "x"}, format="json"),
        lambda api: api.post("/db/new?colour=red"),
        lambda api: api.put("/db/new"),
        lambda api: api.generic("POST", "/db/new", b"{", content_type="application/json"),
        lambda api: api.generic("POST", "/db/new", b"<x/>", content_type="text/xml"),
        lambda api: api.post("/db/new", headers={"idempotency-key": "spaces are not allowed"}),
    ],
)
def test_bad_input_costs_a_request_and_no_database(
    api: APIClient, limited: Limits, send: Callable[[APIClient], Any]
) -> None:
    limited(requests=per_day(2), provisions=per_day(1))
    for _ in range(2):
        assert send(api).status_code in (400, 405, 415)
    assert send(api).status_code == 429
    assert "provisions" not in {key.partition(":")[0] for key in stored_keys()}


def stored_keys() -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT key FROM ratelimit_bucket")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.usefixtures("full_pool")
class TestProvisions:
    def test_so_many_and_no_more(self, api: APIClient, limited: Limits) -> None:
        limited(provisions=per_day(2), requests=per_day(10))
        made = [api.post("/db/new") for _ in range(2)]
        assert [fields(answer)["provisions"]["r"] for answer in made] == ["1", "0"]
        refused = api.post("/db/new")
        assert (refused.status_code, refused.json()["error"]) == (429, "rate_limited")
        assert "'provisions'" in refused.json()["message"]
        # Decided together: the denial has not cost a request either.
        assert fields(refused)["requests"]["r"] == fields(made[1])["requests"]["r"] == "8"
        assert api.get(f"/db/{made[0].json()['token']}").status_code == 200

    def test_a_failed_provision_gives_its_charge_back(self, api: APIClient, limited: Limits) -> None:
        limited(provisions=per_day(2), requests=per_day(50))
        Cluster.objects.update(state=Cluster.State.DRAINING)
        for _ in range(4):
            failed = api.post("/db/new")
            assert (failed.status_code, failed.json()["error"]) == (503, "provisioning_unavailable")
            assert "provisions" not in fields(failed)
        Cluster.objects.update(state=Cluster.State.ACCEPTING)
        assert [api.post("/db/new").status_code for _ in range(3)] == [201, 201, 429]

    def test_a_repeated_request_gets_its_database_though_the_limit_is_reached(
        self, api: APIClient, limited: Limits
    ) -> None:
        limited(provisions=per_day(1), requests=per_day(50))
        made = api.post("/db/new", headers={"idempotency-key": "only-once"})
        again = api.post("/db/new", headers={"idempotency-key": "only-once"})
        assert (again.status_code, again.json()) == (201, made.json())
        assert "provisions" not in fields(again)
        assert "requests" in fields(again)
        assert api.post("/db/new", headers={"idempotency-key": "another"}).status_code == 429
        # What it asks for differently it is told, and that costs nothing either.
        other = api.post("/db/new", {"name": "x"}, headers={"idempotency-key": "only-once"})
        assert other.status_code == 409

    def test_all_limits_together_cost_one_statement(
        self, api: APIClient, limited: Limits, statements: list[str]
    ) -> None:
        limited(provisions=per_day(5), requests=per_day(50))
        assert api.post("/db/new").status_code == 201
        assert len([sent for sent in statements if "ratelimit" in sent]) == 1
        # With a key, one more looks whether it was used before.
        statements.clear()
        assert api.post("/db/new", headers={"idempotency-key": "a-new-one"}).status_code == 201
        assert len(statements) == 4


def test_a_body_that_is_too_large_costs_a_request(service: Service) -> None:
    answer = service.post("/db/new", data=b"x" * 1_100_000)
    assert answer.status_code == 413
    assert '"requests"' in answer.headers["RateLimit"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "OPTIONS"])
def test_a_method_that_is_not_allowed_costs_a_request(api: APIClient, limited: Limits, method: str) -> None:
    limited(requests=per_day(5))
    answer = api.generic(method, "/")
    assert answer.status_code == 405
    assert answer["Allow"] == "GET, HEAD"
    assert fields(answer)["requests"]["r"] == "4"


def test_a_subnet_is_one_client_and_the_next_one_another(api: APIClient, limited: Limits) -> None:
    limited(requests=per_day(1))
    assert api.get("/db/x", REMOTE_ADDR="192.0.2.1").status_code == 404
    assert api.get("/db/x", REMOTE_ADDR="192.0.2.200").status_code == 429
    assert api.get("/db/x", REMOTE_ADDR="192.0.3.1").status_code == 404
    assert api.get("/db/x", REMOTE_ADDR="2001:db8:1::1").status_code == 404
    assert api.get("/db/x", REMOTE_ADDR="2001:db8:1:ffff::1").status_code == 429


def test_the_size_of_a_client_is_configured(api: APIClient, settings: Settings, db: None) -> None:
    configure(settings, requests=per_day(1), client_ipv4_prefix=32, client_ipv6_prefix=64)
    assert api.get("/db/x", REMOTE_ADDR="192.0.2.1").status_code == 404
    assert api.get("/db/x", REMOTE_ADDR="192.0.2.2").status_code == 404
    assert api.get("/db/x", REMOTE_ADDR="2001:db8:1:1::1").status_code == 404
    assert api.get("/db/x", REMOTE_ADDR="2001:db8:1:2::1").status_code == 404
    assert api.get("/db/x", REMOTE_ADDR="2001:db8:1:1::2").status_code == 429


FORGED = ("X-Forwarded-For", "Forwarded", "CF-Connecting-IP", "DO-Connecting-IP", "X-Real-IP", "True-Client-IP")


@pytest.mark.parametrize("header", FORGED)
def test_a_forged_header_is_no_way_around(api: APIClient, limited: Limits, header: str) -> None:
    limited(requests=per_day(1))
    assert api.get("/db/x", headers={header: "198.51.100.1"}).status_code == 404
    forged = "for=198.51.100.2" if header == "Forwarded" else "198.51.100.2"
    assert api.get("/db/x", headers={header: forged}).status_code == 429


def test_behind_a_trusted_proxy_clients_are_told_apart(api: APIClient, limited: Limits, settings: Settings) -> None:
    limited(requests=per_day(1))
    server = replace(settings.INSTANTLITE.server, trusted_proxies=(ip_network("127.0.0.0/8"),))
    settings.INSTANTLITE = replace(settings.INSTANTLITE, server=server)
    assert api.get("/db/x", headers={"x-forwarded-for": "198.51.100.1"}).status_code == 404
    assert api.get("/db/x", headers={"x-forwarded-for": "203.0.113.9"}).status_code == 404
    # Whatever a caller writes stands to the left of what the proxy has seen.
    assert api.get("/db/x", headers={"x-forwarded-for": "192.0.2.77, 203.0.113.9"}).status_code == 429


def test_a_partition_key_tells_clients_apart_and_reveals_nothing(api: APIClient, limited: Limits) -> None:
    limited(requests=per_day(5), provisions=per_day(5))
    first = api.get("/db/x", REMOTE_ADDR="192.0.2.1")
    neighbour = api.get("/db/x", REMOTE_ADDR="192.0.2.2")
    stranger = api.get("/db/x", REMOTE_ADDR="198.51.100.1")
    keys = [fields(answer)["requests"]["pk"] for answer in (first, neighbour, stranger)]
    assert keys[0] == keys[1] != keys[2]
    fingerprint = clients.identify(first.wsgi_request).fingerprint
    assert fingerprint not in str(first.headers)
    assert "192.0.2" not in str(first.headers)


def test_no_bucket_is_stored_by_an_address(api: APIClient, limited: Limits) -> None:
    limited(requests=per_day(5))
    api.get("/db/x", REMOTE_ADDR="192.0.2.1")
    assert stored_keys()
    assert all(re.fullmatch(r"[a-z]+:[A-Za-z0-9_-]{22}", key) for key in stored_keys())


def test_a_limit_that_is_off_says_nothing(api: APIClient, limited: Limits) -> None:
    limited()
    answer = api.get("/db/x")
    assert answer.status_code == 404
    assert not answer.has_header("RateLimit")
    assert not answer.has_header("RateLimit-Policy")


def test_decisions_are_counted_by_limit_and_outcome(api: APIClient, limited: Limits) -> None:
    limited(requests=per_day(2))

    def counted() -> tuple[int, int]:
        decisions = telemetry.RATELIMIT_DECISIONS
        return (
            decisions.total(limit="requests", outcome="allowed"),
            decisions.total(limit="requests", outcome="denied"),
        )

    before = counted()
    for _ in range(5):
        api.get("/db/x")
    after = counted()
    assert (after[0] - before[0], after[1] - before[1]) == (2, 3)


def test_a_page_that_needs_no_database_is_served_while_no_store_answers(
    api: APIClient, limited: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited(requests=per_day(1))

    asked: list[object] = []

    class Away:
        def charge(self, *_: Any) -> Any:
            asked.append(_)
            raise OperationalError("connection refused")

    monkeypatch.setattr(stores, "store", Away())
    for path, status in (("/", 200), ("/docs", 200), ("/openapi.json", 200), ("/nothing", 404), ("/db/x", 503)):
        asked.clear()
        answer = api.get(path)
        assert (path, answer.status_code) == (path, status)
        # Each look may wait for seconds.
        assert len(asked) == 1
    assert answer.json()["error"] == "database_unavailable"


def test_a_limiter_that_is_broken_lets_nobody_through(limited: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing function, a lost right: not a store that is away for a moment."""
    limited(requests=per_day(1))

    class Broken:
        def charge(self, *_: Any) -> Any:
            raise ProgrammingError("function ratelimit_charge does not exist")

    monkeypatch.setattr(stores, "store", Broken())
    api = APIClient(raise_request_exception=False)
    for path in ("/", "/admin/login/", "/db/x"):
        assert api.get(path).status_code == 500
