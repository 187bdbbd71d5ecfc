"""The signature on the page of an inbox, as the server makes it: a form, a verdict, a mark."""

import re
import time
from typing import Any

import pytest
from django.test import Client

from tests.webhooks import signing
from tests.webhooks.inbox import Inbox
from webhooks import signature_form
from webhooks.models import Endpoint
from webhooks.signatures.config import PROVIDERS

SECRET = "whsec_of-the-page"
BROWSER = {"Accept": "text/html"}


@pytest.fixture
def inbox(transactional_db: None) -> Inbox:
    return Inbox()


@pytest.fixture
def client() -> Client:
    return Client(enforce_csrf_checks=True)


def shown(client: Client, inbox: Inbox, path: str = "") -> str:
    answer = client.get(f"/webhooks/{inbox.token}{path}", headers=BROWSER)
    assert answer.status_code == 200
    return answer.content.decode()


def post(client: Client, inbox: Inbox, **fields: Any) -> Any:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', shown(client, inbox, "/settings"))
    assert token
    return client.post(
        f"/webhooks/{inbox.token}/signature", {"csrfmiddlewaretoken": token[1], **fields}, headers=BROWSER
    )


def stored(inbox: Inbox) -> Any:
    return Endpoint.objects.get(pk=inbox.answer["id"]).signature


def send(inbox: Inbox, secret: str = SECRET, body: bytes = b'{"a":1}', signed: bytes | None = None) -> str:
    ((name, value),) = signing.stripe(secret, body if signed is None else signed, int(time.time()))
    return inbox.sent("/stripe", body, content_type="application/json", **{name: value})


def test_it_is_set_and_removed_by_a_form(client: Client, inbox: Inbox) -> None:
    assert "Stop verifying" not in shown(client, inbox, "/settings")
    answer = post(client, inbox, provider="stripe", secret=SECRET, algorithm="sha256", save="1")
    assert (answer.status_code, answer["Location"]) == (303, f"/webhooks/{inbox.token}/settings?done=signature")
    assert stored(inbox)["provider"] == "stripe"
    page = shown(client, inbox, "/settings?done=signature")
    assert '<option value="stripe" selected>' in page
    assert "are verified by it too" in page
    assert SECRET not in page
    assert post(client, inbox, remove="1", provider="stripe").status_code == 303
    assert stored(inbox) is None


def test_every_provider_can_be_chosen() -> None:
    assert tuple(choice.value for choice in signature_form.PROVIDERS) == PROVIDERS


def test_the_options_of_an_hmac_are_kept_and_shown(client: Client, inbox: Inbox) -> None:
    options = {"header": "X-A", "prefix": "v1=", "algorithm": "sha512", "encoding": "base64", "secret_encoding": "text"}
    post(client, inbox, provider="hmac", secret="s", timestamp_header="X-T", signed="{timestamp}.{body}", **options)
    page = shown(client, inbox, "/settings")
    for value in ("X-A", "v1=", "X-T", "{timestamp}.{body}"):
        assert f'value="{value}"' in page
    assert "<option selected>sha512</option>" in page
    assert post(client, inbox, provider="hmac", secret="", header="X-B", signed="{body}").status_code == 303
    assert stored(inbox)["header"] == "X-B"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"provider": "stripe", "secret": ""}, "is needed: what the sender signs with."),
        ({"provider": "stripe", "secret": "sk_live_0123"}, "signing secret"),
        ({"provider": "hmac", "secret": "s3cret!"}, "the header that holds the signature"),
        ({"provider": "hmac", "secret": "s3cret!", "header": "X-A", "signed": "{x}"}, "placeholders"),
        ({"provider": "paypal", "secret": "s3cret!"}, "must be one of"),
        ({}, "must be one of"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(client: Client, inbox: Inbox, fields: dict[str, str], says: str) -> None:
    answer = post(client, inbox, **fields)
    assert answer.status_code == 400
    page = answer.content.decode()
    assert says in page
    assert 'aria-invalid="true"' in page
    assert not fields.get("secret") or fields["secret"] not in page
    assert stored(inbox) is None


def test_a_form_needs_its_token(client: Client, inbox: Inbox) -> None:
    answer = client.post(f"/webhooks/{inbox.token}/signature", {"provider": "stripe", "secret": SECRET})
    assert answer.status_code == 403
    assert client.get(f"/webhooks/{inbox.token}/signature").status_code == 405
    assert stored(inbox) is None


def test_a_request_shows_its_verdict_and_what_to_do(client: Client, inbox: Inbox) -> None:
    request_id = send(inbox)
    assert 'class="verdict' not in shown(client, inbox, f"/{request_id}")
    post(client, inbox, provider="stripe", secret=SECRET)
    page = shown(client, inbox, f"/{request_id}")
    assert "Signature verified" in page
    other = send(inbox, signed=b'{"a": 1}')
    page = shown(client, inbox, f"/{other}")
    assert "Signature not verified" in page
    assert "body_reencoded" in page
    assert "space behind each comma and colon" in page
    assert page.index("Signature not verified") < page.index('id="panel-body"')


def test_rows_have_a_mark_where_a_signature_is_set(client: Client, inbox: Inbox) -> None:
    send(inbox)
    send(inbox, "whsec_another")
    assert "signature" not in shown(client, inbox).partition('id="rows"')[2].partition("</ol>")[0]
    post(client, inbox, provider="stripe", secret=SECRET)
    page = shown(client, inbox)
    assert page.count('class="signed yes"') == 1
    assert page.count('class="signed no"') == 1


def test_what_a_sender_puts_into_a_diagnosis_is_text(client: Client, inbox: Inbox) -> None:
    post(client, inbox, provider="hmac", secret="s", header="X-A", prefix="<b>")
    request_id = inbox.sent("", b"x", X_A="<script>alert(1)</script>")
    page = shown(client, inbox, f"/{request_id}")
    assert "does not begin with" in page
    assert "<script>alert(1)" not in page
    assert "'<b>'" not in page
