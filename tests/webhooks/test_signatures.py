"""The signature of an inbox: set, shown, and what it makes of every request, wherever one is shown."""

import json
import logging
import time
from typing import Any

import pytest

from tests.webhooks import signing
from tests.webhooks.inbox import Inbox
from webhooks import endpoints, verdicts
from webhooks.models import CapturedRequest, Endpoint

SECRET = "whsec_a-secret-that-must-not-be-seen"
STRIPE = {"provider": "stripe", "secret": SECRET}
BODY = b'{"id": "evt_1"}'


@pytest.fixture
def inbox(transactional_db: None) -> Inbox:
    return Inbox()


def change(inbox: Inbox, signature: Any) -> Any:
    return inbox.api.patch(inbox.path, {"signature": signature}, format="json")


def set_to(inbox: Inbox, signature: Any) -> None:
    answer = change(inbox, signature)
    assert answer.status_code == 200, answer.content


def send(inbox: Inbox, body: bytes = BODY, secret: str = SECRET, at: int | None = None) -> str:
    ((name, value),) = signing.stripe(secret, body, at or int(time.time()))
    return inbox.sent("/stripe", body, content_type="application/json", **{name: value})


def row(inbox: Inbox) -> Endpoint:
    return Endpoint.objects.get(pk=inbox.answer["id"])


def test_without_one_nothing_is_said(inbox: Inbox) -> None:
    request_id = send(inbox)
    assert inbox.get().json()["signature"] is None
    assert inbox.detail(request_id)["signature"] is None
    assert [item["signature"] for item in inbox.items()] == [None]


def test_it_is_set_shown_without_its_secret_and_removed(inbox: Inbox) -> None:
    answer = change(inbox, STRIPE)
    assert answer.json()["signature"] == {"provider": "stripe", "secret": "set"}
    assert inbox.get().json()["signature"] == {"provider": "stripe", "secret": "set"}
    set_to(inbox, None)
    assert inbox.get().json()["signature"] is None
    assert row(inbox).signature is None


def test_options_are_shown_with_their_defaults(inbox: Inbox) -> None:
    set_to(inbox, {"provider": "hmac", "secret": "s", "header": "X-A", "prefix": "sha256="})
    assert inbox.get().json()["signature"] == {
        "provider": "hmac",
        "secret": "set",
        "header": "X-A",
        "algorithm": "sha256",
        "encoding": "hex",
        "prefix": "sha256=",
        "timestamp_header": "",
        "signed": "{body}",
        "secret_encoding": "text",
    }


def test_a_request_says_whether_it_is_verified(inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    good, bad = send(inbox), send(inbox, secret="whsec_another")
    late = send(inbox, at=int(time.time()) - 4000)
    assert inbox.detail(good)["signature"] == {"verified": True, "diagnosis": None}
    said = {item["id"]: item["signature"] for item in inbox.items()}
    assert said[good] == {"verified": True, "diagnosis": None}
    for request_id, code in ((bad, "signature_mismatch"), (late, "timestamp_too_old")):
        found = inbox.detail(request_id)["signature"]
        assert found["verified"] is False
        assert found["diagnosis"]["code"] == code
        assert said[request_id]["diagnosis"]["code"] == code


def test_the_url_is_the_one_that_the_sender_knows(inbox: Inbox) -> None:
    set_to(inbox, {"provider": "twilio", "secret": "12345"})
    url = f"{inbox.answer['receive_url']}/sms%20in?x=%41"
    signature = signing.b64(signing.digest("12345", f"{url}From+1".encode(), "sha1"))
    form = "application/x-www-form-urlencoded"
    request_id = inbox.sent("/sms%20in?x=%41", b"From=%2B1", content_type=form, X_Twilio_Signature=signature)
    assert inbox.detail(request_id)["signature"] == {"verified": True, "diagnosis": None}


def test_another_secret_makes_another_verdict_of_what_is_there(inbox: Inbox) -> None:
    request_id = send(inbox)
    for secret, verified in ((SECRET, True), ("whsec_another", False), (SECRET, True)):
        set_to(inbox, {**STRIPE, "secret": secret})
        assert inbox.detail(request_id)["signature"]["verified"] is verified
        assert [item["signature"]["verified"] for item in inbox.items()] == [verified]


def test_a_secret_stays_where_only_options_change(inbox: Inbox) -> None:
    wanted = {"provider": "hmac", "secret": "s", "header": "X-A"}
    set_to(inbox, wanted)
    request_id = inbox.sent("", BODY, X_B=signing.digest("s", BODY).hex())
    assert inbox.detail(request_id)["signature"]["diagnosis"]["code"] == "header_missing"
    set_to(inbox, {"provider": "hmac", "header": "X-B"})
    assert inbox.detail(request_id)["signature"]["verified"] is True
    answer = change(inbox, {"provider": "github"})
    assert answer.status_code == 400
    assert answer.json()["message"] == "secret: is needed: what the sender signs with."
    set_to(inbox, None)
    assert change(inbox, {"provider": "hmac", "header": "X-B"}).status_code == 400


@pytest.mark.parametrize(
    "wanted", ["stripe", [], 5, {}, {"provider": "stripe"}, {"provider": {}, "secret": SECRET}, {**STRIPE, "x": 1}]
)
def test_what_is_wrong_is_answered_and_changes_nothing(inbox: Inbox, wanted: Any) -> None:
    answer = change(inbox, wanted)
    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_request"
    assert SECRET not in answer.content.decode()
    assert row(inbox).signature is None


def test_the_secret_is_nowhere_in_the_table(inbox: Inbox, statements: list[str]) -> None:
    set_to(inbox, STRIPE)
    kept = row(inbox).signature
    assert kept is not None
    assert kept["provider"] == "stripe"
    assert SECRET not in json.dumps(kept)
    assert SECRET[6:] not in json.dumps(kept)
    assert not [statement for statement in statements if SECRET in statement]


def test_the_settings_of_one_inbox_do_not_open_in_another(inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    other = Inbox()
    Endpoint.objects.filter(pk=other.answer["id"]).update(signature=row(inbox).signature)
    request_id = send(other)
    assert other.detail(request_id)["signature"]["diagnosis"]["code"] == "secret_unreadable"


def test_a_changed_secret_key_is_said_and_the_secret_can_be_set_again(inbox: Inbox, settings: Any) -> None:
    set_to(inbox, STRIPE)
    endpoint = row(inbox)
    request_id = send(inbox)
    captured = CapturedRequest.objects.get(pk=request_id)
    settings.SECRET_KEY = "another key, which nobody else will ever use either"
    verdicts.check(endpoint, captured)
    assert captured.verdict is not None
    assert captured.verdict["verified"] is None
    assert captured.verdict["diagnosis"]["code"] == "secret_unreadable"
    assert "Set it again" in captured.verdict["diagnosis"]["message"]
    verdicts.check_page(endpoint.pk, endpoint.signature, [captured])
    assert captured.verdict["diagnosis"]["code"] == "secret_unreadable"
    changed = endpoints.change(endpoint, {"signature": STRIPE})
    verdicts.check(changed, captured)
    assert captured.verdict == {"verified": True, "diagnosis": None}


def test_a_body_that_was_not_kept_cannot_be_verified(inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    CapturedRequest.objects.filter(pk=send(inbox)).update(too_large=True, body=b"", size=2**40)
    (item,) = inbox.items()
    assert item["signature"] == inbox.detail(item["id"])["signature"]
    assert item["signature"]["verified"] is None
    assert item["signature"]["diagnosis"]["code"] == "body_not_kept"


def test_a_list_reads_a_bounded_part_of_the_bodies(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "BODIES_PER_PAGE", 25)
    set_to(inbox, STRIPE)
    sent = [send(inbox, b"x" * size) for size in (30, 10, 10, 10)]
    said = {item["id"]: item["signature"] for item in inbox.items()}
    assert [said[request_id]["verified"] for request_id in sent] == [None, None, True, True]
    assert said[sent[0]]["diagnosis"]["code"] == "not_checked"
    assert "Open the request" in said[sent[0]]["diagnosis"]["message"]
    assert inbox.detail(sent[0])["signature"]["verified"] is True


def test_a_list_costs_one_more_statement_and_only_where_a_signature_is_set(inbox: Inbox, statements: list[str]) -> None:
    for _ in range(3):
        send(inbox)
    statements.clear()
    inbox.items()
    plain = [statement for statement in statements if "webhooks_" in statement]
    assert not any('."headers"' in statement or '."body"' in statement for statement in plain)
    set_to(inbox, STRIPE)
    statements.clear()
    inbox.items()
    signed = [statement for statement in statements if "webhooks_" in statement]
    assert len(signed) == len(plain) + 1
    assert sum('."body"' in statement for statement in signed) == 1


def test_a_list_in_either_direction_and_a_search_say_it(inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    first, second = send(inbox), send(inbox, b'{"id": "needle"}')
    for query in ({"after": first}, {"before": "f" * 8 + "-ffff-7fff-bfff-" + "f" * 12, "limit": 1}, {"q": "needle"}):
        (item,) = inbox.items(**query)
        assert (item["id"], item["signature"]["verified"]) == (second, True)


def test_what_is_deleted_or_expired_keeps_no_secret(inbox: Inbox) -> None:
    set_to(inbox, STRIPE)
    assert inbox.api.delete(inbox.path).status_code == 200
    assert row(inbox).signature is None
    other = Inbox()
    set_to(other, STRIPE)
    Endpoint.objects.filter(pk=other.answer["id"]).update(expires_at="2020-01-01T00:00:00Z")
    endpoints.expire_due()
    assert row(other).signature is None


def test_no_answer_page_or_log_holds_the_secret(inbox: Inbox, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    answers = [change(inbox, STRIPE)]
    request_id = send(inbox, secret="whsec_another")
    api = f"/requests/{request_id}"
    answers += [inbox.get(path) for path in ("", "/requests", api, f"{api}/raw", f"{api}/har", f"{api}/curl")]
    answers.append(inbox.get("/wait", after="0" * 8 + "-0000-7000-8000-" + "0" * 12))
    page = f"/webhooks/{inbox.token}"
    answers += [inbox.api.get(f"{page}{path}") for path in ("", "/settings", f"/{request_id}")]
    answers.append(inbox.api.post(f"{page}/signature", {"provider": "hmac", "secret": SECRET}))
    answers.append(inbox.api.post(f"{page}/signature", {"provider": "shopify", "secret": SECRET}, follow=True))
    answers.append(change(inbox, {**STRIPE, "header": "X-A"}))
    for answer in answers:
        assert answer.status_code in (200, 400), answer.content
        assert SECRET.encode() not in answer.content
        assert SECRET not in str(answer.headers)
        assert b"sealed" not in answer.content
    assert SECRET not in caplog.text
