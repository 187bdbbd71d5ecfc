"""Admin's pages: what they show, what they never show, and that nothing on them can be edited."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from instantlite.resource import Wish
from provisioning import pool, usage
from provisioning.models import Cluster, Database

pytestmark = pytest.mark.usefixtures("platform")

LIST = "/admin/provisioning/database/"


@pytest.fixture
def operator(client: Client) -> Client:
    client.force_login(User.objects.create_superuser("operator"))
    return client


@pytest.fixture
def database() -> Database:
    wish = Wish(fingerprint="Fingerprint0123456789x", name="the one", idempotency_key="a key", client="192.0.2.1")
    return pool.hand_out(wish).resource


def html(operator: Client, path: str, **query: str) -> str:
    answer = operator.get(path, query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_no_page_holds_a_secret(operator: Client, database: Database) -> None:
    operator.post(f"{LIST}{database.pk}/rotate/")
    now = Database.objects.get(pk=database.pk)
    mac = bytes(now.idempotency_mac or b"")
    assert len(mac) == 32
    secrets = [now.password, database.password, now.token, now.connection_url, "postgresql://", mac.hex(), str(mac)]
    pages = [LIST, *(f"{LIST}{now.pk}/{page}/" for page in ("change", "history", "expire", "extend", "rotate"))]
    clusters = [f"/admin/provisioning/cluster/{page}" for page in ("", f"{now.cluster_id}/change/")]
    for path in [*pages, *clusters, "/admin/"]:
        body = html(operator, path)
        assert [secret for secret in secrets if secret in body] == [], path


def test_the_list_shows_a_row_with_its_exact_expiry(operator: Client, database: Database) -> None:
    body = html(operator, LIST)
    assert database.expires_at
    assert "the one" in body
    assert "Fingerpr…" in body
    assert f'title="{database.expires_at:%Y-%m-%d %H:%M:%S} UTC"' in body


@pytest.mark.parametrize("term", ["the o", "db_name", "id", "Fingerprint0123456789x"])
def test_search_finds_by_name_database_id_and_owner(operator: Client, database: Database, term: str) -> None:
    other = pool.hand_out(Wish(fingerprint="z" * 22, name="another")).resource
    values = {"db_name": database.db_name, "id": str(database.pk)}
    shown = operator.get(LIST, {"q": values.get(term, term)}).context["cl"].result_list
    assert [row.pk for row in shown] == [database.pk]
    assert other.pk != database.pk


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"owner": "Fingerprint0123456789x"}, True),
        ({"owner": "Finger"}, True),
        ({"owner": "Nobody"}, False),
        ({"state__exact": "active"}, True),
        ({"state__exact": "gone"}, False),
        ({"expiry": "day"}, True),
        ({"expiry": "hour"}, False),
        ({"expiry": "overdue"}, False),
        ({"expiry": "expired"}, False),
        ({"expiry": "later"}, False),
        ({"expiry": "nonsense"}, True),
    ],
)
def test_filters(operator: Client, database: Database, query: dict[str, str], found: bool) -> None:
    shown = operator.get(LIST, query).context["cl"].result_list
    assert (database.pk in [row.pk for row in shown]) is found


def test_the_owner_filter_keeps_the_other_filters(operator: Client, database: Database) -> None:
    body = html(operator, LIST, state__exact="active", q="one")
    form = body[body.index("By owner") - 300 : body.index('id="filter-owner"')]
    assert '<input type="hidden" name="state__exact" value="active">' in form
    assert '<input type="hidden" name="q" value="one">' in form


def test_the_detail_asks_the_cluster_once(
    operator: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Database] = []
    measure = usage.measure

    def counting(row: Database) -> object:
        asked.append(row)
        return measure(row)

    monkeypatch.setattr(usage, "measure", counting)
    body = html(operator, f"{LIST}{database.pk}/change/")
    assert len(asked) == 1
    assert "Size right now" in body
    assert "MB" in body


def test_the_detail_says_that_the_cluster_does_not_answer(
    operator: Client, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(usage, "measure", lambda row: None)
    assert "the cluster does not answer" in html(operator, f"{LIST}{database.pk}/change/")


@pytest.mark.parametrize("model", ["database", "cluster"])
def test_nothing_is_added_edited_or_deleted(operator: Client, database: Database, model: str) -> None:
    page = f"/admin/provisioning/{model}/"
    row = page + str(database.pk if model == "database" else database.cluster_id)
    assert operator.get(f"{page}add/").status_code == 403
    assert operator.post(f"{row}/change/", {"name": "other"}).status_code == 403
    assert operator.post(f"{row}/delete/", {"post": "yes"}).status_code == 403
    assert 'name="_save"' not in html(operator, f"{row}/change/")
    assert Database.objects.get(pk=database.pk).name == "the one"


def test_a_cluster_that_is_down_says_why(operator: Client) -> None:
    cluster = Cluster.objects.get()
    Cluster.objects.mark_down(cluster.name, "connection refused")
    for path in ("/admin/provisioning/cluster/", f"/admin/provisioning/cluster/{cluster.pk}/change/", "/admin/"):
        assert "connection refused" in html(operator, path)


def test_a_cluster_shows_its_load_and_pool(operator: Client, database: Database) -> None:
    pool.build_one()
    body = html(operator, "/admin/provisioning/cluster/")
    assert f"2 of {Cluster.objects.get().max_databases}" in body


@pytest.mark.parametrize(("path", "field"), [("user/add/", "username"), ("group/add/", "name")])
def test_the_forms_of_operators_and_groups_are_dressed_like_the_rest(operator: Client, path: str, field: str) -> None:
    form = operator.get(f"/admin/auth/{path}").context["adminform"].form
    assert type(form.fields[field].widget).__module__ == "unfold.widgets"


def test_an_operator_s_own_page_is_dressed_like_the_rest(operator: Client) -> None:
    page = f"/admin/auth/user/{User.objects.get().pk}/"
    form = operator.get(f"{page}change/").context["adminform"].form
    assert type(form.fields["groups"].widget.widget).__module__ == "unfold.widgets"
    assert operator.get(f"{page}password/").status_code == 200
    assert operator.get("/admin/auth/user/").status_code == operator.get("/admin/auth/group/").status_code == 200


def test_an_operator_makes_another_who_can_sign_in(operator: Client) -> None:
    form = {
        "username": "second",
        "usable_password": "true",
        "password1": "a long enough 1",
        "password2": "a long enough 1",
    }
    assert operator.post("/admin/auth/user/add/", form).status_code == 302
    User.objects.filter(username="second").update(is_staff=True)
    assert Client().login(username="second", password="a long enough 1")
