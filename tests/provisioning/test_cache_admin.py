"""The caches' pages in admin: no secret, the owner's verbs as acts, and a card on the dashboard."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import User
from django.core.cache import cache as django_cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from instantlite.resource import State, Wish
from provisioning import caches, roles
from provisioning.dashboard import look
from provisioning.models import Cache
from tests.redis_server import RedisServer

LIST = "/admin/provisioning/cache/"


@pytest.fixture
def operator(client: Client, transactional_db: None) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    django_cache.clear()
    return client


@pytest.fixture
def made(tenants_redis: RedisServer) -> Cache:
    wish = Wish(fingerprint="Fingerprint0123456789x", name="the one", idempotency_key="a key", client="192.0.2.1")
    return caches.hand_out(wish).resource


def said(answer: Any) -> str:
    return " ".join(str(message) for message in answer.context["messages"])


def test_no_page_holds_a_secret(operator: Client, made: Cache) -> None:
    operator.post(f"{LIST}{made.pk}/rotate/")
    now = Cache.objects.get(pk=made.pk)
    mac = bytes(now.idempotency_mac or b"")
    secrets = [now.password, made.password, now.token, now.connection_url, "redis://", mac.hex(), str(mac)]
    pages = [LIST, *(f"{LIST}{now.pk}/{page}/" for page in ("change", "history", "expire", "extend", "rotate"))]
    for path in [*pages, "/admin/"]:
        body = operator.get(path).content.decode()
        assert [secret for secret in secrets if secret in body] == [], path


def test_the_pages_show_prefix_size_and_quota(operator: Client, made: Cache) -> None:
    Cache.objects.update(size_bytes=26_000_000, open_connections=3, confined=True)
    for path in (LIST, f"{LIST}{made.pk}/change/"):
        body = operator.get(path).content.decode()
        for shown in ("the one", made.key_prefix, "24.8 MB", "exceeded"):
            assert shown in body, (path, shown)


@pytest.mark.parametrize("term", ["the o", "key_prefix", "id", "Fingerprint0123456789x"])
def test_search_finds_by_name_prefix_id_and_owner(operator: Client, made: Cache, term: str) -> None:
    caches.hand_out(Wish(fingerprint="z" * 22, name="another"))
    values = {"key_prefix": made.key_prefix, "id": str(made.pk)}
    shown = operator.get(LIST, {"q": values.get(term, term)}).context["cl"].result_list
    assert [row.pk for row in shown] == [made.pk]


@pytest.mark.parametrize(
    ("query", "found"),
    [({"confined__exact": "1"}, False), ({"expiry": "day"}, True), ({"owner": "Nobody"}, False)],
)
def test_filters(operator: Client, made: Cache, query: dict[str, str], found: bool) -> None:
    shown = operator.get(LIST, query).context["cl"].result_list
    assert (made.pk in [row.pk for row in shown]) is found


@pytest.mark.parametrize("act", ["expire", "extend", "rotate"])
def test_asking_changes_nothing(operator: Client, made: Cache, act: str) -> None:
    before = Cache.objects.values().get()
    assert "the one" in operator.get(f"{LIST}{made.pk}/{act}/").content.decode()
    assert Cache.objects.values().get() == before


def test_the_acts_work_and_are_logged(operator: Client, made: Cache) -> None:
    assert said(operator.post(f"{LIST}{made.pk}/extend/", follow=True)) == "Extended: the one."
    row = Cache.objects.get()
    assert row.expires_at
    assert made.expires_at
    assert row.expires_at - made.expires_at == timedelta(hours=24)
    assert said(operator.post(f"{LIST}{made.pk}/rotate/", follow=True)) == "Password rotated: the one."
    with redis.Redis.from_url(Cache.objects.get().connection_url) as tenant:
        assert tenant.set(f"{made.key_prefix}:k", "v")
    form = {"action": "expire_selected", "_selected_action": [str(made.pk)], "confirmed": "yes"}
    assert said(operator.post(LIST, form, follow=True)) == "Expired and dropped: the one."
    assert Cache.objects.get().state == State.GONE
    assert LogEntry.objects.filter(object_id=str(made.pk)).count() == 3
    assert said(operator.post(f"{LIST}{made.pk}/rotate/", follow=True)).startswith("Left alone, it is not active")


@pytest.mark.parametrize(("act", "told"), [("rotate", "Recorded"), ("expire", "Expired, and")])
def test_a_redis_that_is_away_is_a_warning(client: Client, own_redis: RedisServer, act: str, told: str) -> None:
    client.force_login(User.objects.create_superuser("operator"))
    made = caches.hand_out(Wish(fingerprint="f", name="the one")).resource
    own_redis.kill()
    assert said(client.post(f"{LIST}{made.pk}/{act}/", follow=True)).startswith(told)


def test_nothing_can_be_edited(operator: Client, made: Cache) -> None:
    assert operator.get(f"{LIST}add/").status_code == 403
    assert operator.post(f"{LIST}{made.pk}/change/", {"name": "other"}).status_code == 403
    assert operator.post(f"{LIST}{made.pk}/delete/", {"post": "yes"}).status_code == 403


def test_the_dashboard_counts_caches_with_one_more_statement(operator: Client, made: Cache) -> None:
    gone = caches.hand_out(Wish(fingerprint="f")).resource
    roles.expire(gone)
    with CaptureQueriesContext(connection) as seen:
        now = look()
    assert len(seen) == 6
    assert now.caches
    assert (now.caches.active, now.caches.confined, now.caches.late) == (1, 0, 0)
    body = operator.get("/admin/").content.decode()
    assert 'id="caches">1<' in body


def test_without_redis_the_dashboard_has_no_card_of_caches(operator: Client) -> None:
    assert look().caches is None
    assert "Caches alive" not in operator.get("/admin/").content.decode()
