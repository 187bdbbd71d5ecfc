"""GET /: a screenful of text for curl, a page for a browser; and the page that a browser's error is."""

from dataclasses import replace
from datetime import timedelta

import pytest
import requests
from django.test import Client
from pytest_django.fixtures import Settings

from instantlite.config import Rate
from instantlite.landing import bytes_in_words
from tests.service import Service

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "application/json"])
def test_curl_gets_a_screenful_of_plain_text(service: Service, accept: str | None) -> None:
    answer = service.get("/", headers={"Accept": accept})
    lines = answer.text.splitlines()
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert f"curl -X POST {service.url}/db/new" in answer.text


def test_a_browser_gets_a_page_in_which_every_address_is_this_servers(service: Service) -> None:
    answer = service.get("/", headers=PAGE)
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert f"curl -X POST {service.url}/db/new" in answer.text
    assert answer.text.count("http://") == answer.text.count(service.url)
    assert "https://" not in answer.text


@pytest.mark.parametrize("headers", [{}, PAGE])
def test_what_is_not_served_is_said_not_to_be(service: Service, headers: dict[str, str]) -> None:
    text = service.get("/", headers=headers).text
    assert text.count("not on this server: it has no Redis") == 1
    assert "POST /cache/new" in text
    assert f"{service.url}/cache/new" not in text


def test_an_inbox_is_offered_with_a_first_request_and_its_limits(service: Service) -> None:
    page = service.get("/", headers=PAGE).text
    assert f"curl -X POST {service.url}/webhook/new" in page
    assert ".receive_url inbox.json" in page
    for text in (page, service.get("/").text):
        for needed in ("inbox_url", "receive_url", "/webhook/new", "100", "1 MiB"):
            assert needed in text, needed


@pytest.mark.parametrize(("rate", "said"), [(Rate(7, timedelta(minutes=1)), True), (None, False)])
@pytest.mark.parametrize("accept", ["text/plain", "text/html"])
@pytest.mark.django_db
def test_what_an_inbox_takes_is_said_where_it_is_limited(
    client: Client, settings: Settings, accept: str, rate: Rate | None, said: bool
) -> None:
    limits = replace(settings.INSTANTLITE.limits, captures=rate)
    settings.INSTANTLITE = replace(settings.INSTANTLITE, limits=limits)
    text = client.get("/", headers={"accept": accept}).content.decode()
    assert ("7 a minute" in text) is said


@pytest.mark.parametrize(
    ("size", "words"), [(1 << 20, "1 MiB"), (100 << 10, "100 KiB"), (1000, "1,000 bytes"), (3 << 30, "3,072 MiB")]
)
def test_a_size_is_said_exactly(size: int, words: str) -> None:
    assert bytes_in_words(size) == words


@pytest.mark.parametrize("accept", ["text/plain", "text/html"])
@pytest.mark.parametrize("option", ["url", "customer_url"])
@pytest.mark.django_db
def test_with_redis_caches_are_offered(client: Client, settings: Settings, accept: str, option: str) -> None:
    redis = replace(settings.INSTANTLITE.redis, **{option: "redis://127.0.0.1:1"})
    settings.INSTANTLITE = replace(settings.INSTANTLITE, redis=redis)
    text = client.get("/", headers={"accept": accept}).content.decode()
    assert "no Redis" not in text
    assert "25 MB" in text
    if accept == "text/plain":
        assert len(text.splitlines()) <= 24
        assert max(map(len, text.splitlines())) <= 80
    else:
        assert "curl -X POST http://localhost:8000/cache/new" in text


def test_a_cache_between_keeps_the_two_forms_apart(service: Service) -> None:
    assert "Accept" in service.get("/").headers["Vary"]


def test_nothing_inline_may_run_on_the_page(service: Service) -> None:
    policy = service.get("/", headers=PAGE).headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("headers", [{}, PAGE])
def test_head_has_the_headers_and_no_body(service: Service, headers: dict[str, str]) -> None:
    got, head = (requests.request(method, service.url, headers=headers, timeout=10) for method in ("GET", "HEAD"))
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["Content-Type"] == got.headers["Content-Type"]


def test_a_post_is_told_the_methods(service: Service) -> None:
    answer = service.post("/")
    assert answer.status_code == 405
    assert answer.json()["error"] == "method_not_allowed"
    assert answer.headers["Allow"] == "GET, HEAD"


def test_the_text_follows_the_configured_limits(service: Service) -> None:
    text = service.get("/").text
    assert "24 hours" in text
    assert "72 hours at most" in text
    assert "100 MB, 5 connections" in text
    assert "New ones for one network: 10,000 a day." in text


def test_an_unknown_path_is_json_for_curl(service: Service) -> None:
    answer = service.get("/nope")
    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


def test_an_unknown_path_is_a_page_for_a_browser(service: Service) -> None:
    answer = service.get("/nope", headers=PAGE)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "not_found" in answer.text
    assert answer.headers["X-Request-Id"] in answer.text
    assert "default-src 'none'" in answer.text


@pytest.mark.parametrize("path", ["/db/nope", "/db/new", "/db/nope/extend", "/webhook/new", "/cache/new"])
def test_an_api_path_never_answers_with_a_page(service: Service, path: str) -> None:
    answer = service.get(path, headers=PAGE)
    assert answer.status_code in (404, 405)
    assert answer.json()["ok"] is False


@pytest.mark.parametrize("path", ["/static/style.css", "/static/landing.js", "/static/favicon.svg"])
def test_what_the_page_needs_is_served_here(service: Service, path: str) -> None:
    assert service.get(path).status_code == 200
