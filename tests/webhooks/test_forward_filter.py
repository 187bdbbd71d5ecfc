"""Which requests a destination wants, what a mismatch says, and which filters are none."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as options
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from tests.webhooks import couriers
from tests.webhooks.captured import CAPTURE, messages
from tests.webhooks.couriers import Forwarding
from tests.webhooks.receivers import Receiver, answering, ok, receiver
from webhooks.forward_filter import ForwardFilter
from webhooks.message import Message
from webhooks.models import Destination


def mismatch(conditions: dict[str, Any], body: Any = b"", path: str = "/a", method: str = "POST", **named: str) -> str:
    headers = tuple((name.replace("_", "-"), value) for name, value in named.items())
    encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
    message = Message(method, f"/webhook/receive/key{path}", "1.1", headers, encoded)
    return ForwardFilter.stored(conditions).mismatch(message, path, CAPTURE)


@pytest.mark.parametrize(
    ("conditions", "says"),
    [
        ({"methods": ["PUT", "GET"]}, "The method is POST, and the filter wants PUT or GET."),
        ({"path": "/orders/*"}, "The path is /a, and the filter wants /orders/*."),
        ({"headers": {"X-Event": "push"}}, "No header X-Event is push, which the filter wants."),
        ({"json": {"data.type": "paid"}}, "data.type in the JSON is not paid, which the filter wants."),
        ({"json": {"live": True}}, "live in the JSON is not true, which the filter wants."),
    ],
)
def test_what_does_not_hold_is_said_in_words(conditions: dict[str, Any], says: str) -> None:
    assert mismatch(conditions) == says


def test_all_have_to_hold_and_none_always_does() -> None:
    assert mismatch({}) == ""
    both = {"methods": ["POST"], "path": "/a", "headers": {"x-event": "push"}, "json": {"n": 1}}
    assert mismatch(both, {"n": 1}, X_Event="push") == ""
    assert mismatch(both, {"n": 2}, X_Event="push") != ""


def test_methods_are_told_apart_by_case() -> None:
    assert mismatch({"methods": ["post"]}) != ""


class TestHeaders:
    def test_of_several_lines_one_has_to_be_equal(self) -> None:
        message = Message("GET", "/", "1.1", (("X-A", "1"), ("x-a", "2")), b"")
        wanted = ForwardFilter.stored({"headers": {"X-a": "2"}})
        assert wanted.mismatch(message, "", CAPTURE) == ""

    def test_text_beyond_ascii_is_utf_8_on_the_wire(self) -> None:
        assert mismatch({"headers": {"X-A": "caf\u00e9"}}, X_A="caf\u00e9".encode().decode("latin-1")) == ""


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("/a", "/a", True),
        ("/a", "/a/", False),
        ("/", "", True),
        ("*", "", True),
        ("*", "/any/thing", True),
        ("/a*", "/a", True),
        ("/a*", "/b", False),
        ("*/z", "/a/b/z", True),
        ("/a/*/z", "/a/b/c/z", True),
        ("/a/*/z", "/a/z", False),
        ("/a*a", "/a", False),
        ("/a*b*c", "/aXbYc", True),
        ("/a*b*c", "/acb", False),
        ("/a*b*b", "/ab", False),
        ("/a*bc*bc", "/abc", False),
        ("/a**", "/a", True),
        ("/a.c", "/abc", False),
        ("/[a]", "/a", False),
    ],
)
def test_a_star_stands_for_any_text(pattern: str, path: str, fits: bool) -> None:
    assert (mismatch({"path": pattern}, path=path) == "") is fits


def test_no_pattern_takes_long() -> None:
    """As a regular expression this would take for ever. The time is compared with that of a plain search."""
    started = time.process_time()
    for _ in range(20):
        assert mismatch({"path": "*a" * 250 + "b"}, path="/" + "a" * 8000)
    assert time.process_time() - started < 5


@pytest.mark.parametrize(
    ("path", "value", "body", "fits"),
    [
        ("a", "1", {"a": "1"}, True),
        ("a", "1", {"a": 1}, False),
        ("a", 1, {"a": 1}, True),
        ("a", 1, {"a": 1.0}, True),
        ("a", 1.5, {"a": 1.5}, True),
        ("a", 1, {"a": "1"}, False),
        ("a", 1, {"a": True}, False),
        ("a", True, {"a": True}, True),
        ("a", True, {"a": 1}, False),
        ("a", True, {"a": "true"}, False),
        ("a", False, {"a": None}, False),
        ("a", "", {"a": ""}, True),
        ("a", "", {}, False),
        ("a", "null", {"a": None}, False),
        ("a.b[0].c", "x", {"a": {"b": [{"c": "x"}]}}, True),
        ("$.a.b.0.c", "x", {"a": {"b": [{"c": "x"}]}}, True),
        ("[0].a", "x", [{"a": "x"}], True),
        ("a[5]", "x", {"a": ["x"]}, False),
        ("a.b", "x", {"a": "b"}, False),
        ("a", 1, b'{"a": 1e400}', False),
        ("a", 1, b'{"a": %b}' % (b"1" * 5000), False),
        ("a", 1, b'{"a": 1', False),
        ("a", 1, b"", False),
        ("a", 1, b"\xff", False),
        ("a", 1, b"[" * 100_000, False),
        ("a", 1, b'\xef\xbb\xbf{"a": 1}', True),
        ("a", 1, b'{"a": NaN}', False),
        ("a", 1, b'{"a": 1, "b": "' + b"x" * 300_000 + b'"}', False),
    ],
)
def test_json_values_are_of_a_type(path: str, value: Any, body: Any, fits: bool) -> None:
    assert (mismatch({"json": {path: value}}, body) == "") is fits


@options(max_examples=30, deadline=None)
@given(
    messages,
    st.fixed_dictionaries(
        {},
        optional={
            "methods": st.lists(st.text(), min_size=1),
            "path": st.text(),
            "headers": st.dictionaries(st.just("A"), st.text(st.characters(exclude_categories=["Cs"]))),
            "json": st.dictionaries(st.sampled_from(["a", "a.b", "a[0]"]), st.booleans() | st.integers() | st.text()),
        },
    ),
)
def test_no_request_breaks_a_filter(message: Message, conditions: dict[str, Any]) -> None:
    ForwardFilter.stored(conditions).mismatch(message, message.path, CAPTURE)


@pytest.fixture
def inbox(transactional_db: None, settings: Settings) -> Forwarding:
    couriers.to_loopback(settings)
    return Forwarding()


@pytest.fixture
def there() -> Iterator[Receiver]:
    with receiver(answering(ok())) as taking:
        yield taking


def test_what_a_destination_does_not_want_is_skipped(inbox: Forwarding, there: Receiver) -> None:
    made = inbox.to(there, filter={"method": "PUT", "json": {"a.b": 1}})
    assert made["filter"] == {"method": ["PUT"], "json": {"a.b": 1}}
    with couriers.running():
        skipped = inbox.one(inbox.sent(body=b"x"))
        taken = inbox.one(inbox.sent(body=b'{"a": {"b": 1}}', method="PUT"))
        assert (skipped["state"], skipped["attempts"]) == ("skipped", [])
        assert skipped["note"] == "The method is POST, and the filter wants PUT."
        assert taken["state"] == "delivered"
        # Its owner may want it all the same, once the filter does.
        inbox.call("PATCH", f"/destinations/{made['id']}", {"filter": None})
        inbox.call("POST", f"/deliveries/{skipped['id']}/retry", status=202)
        assert inbox.one(skipped["request_id"])["state"] == "delivered"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("method", ["", "GE T", [], ["GET"] * 21, [1], 1, {}, None, "x" * 41, "\u00e9", ["\0"]]),
        ("path", ["", None, [], {}, "x" * 501, "a\0", "\ud800"]),
        ("headers", [[], "x", 1, None, {"a b": "c"}, {"": "c"}, {"a": 1}, {"a": None}, {"a": "x" * 501}, {"a": "\0"}]),
        ("headers", [{f"X-{number}": "a" for number in range(21)}, {"a": "\ud800"}, {"x" * 501: "a"}, {"\u00e9": "a"}]),
        ("json", [[], "x", 1, None, {"": 1}, {"a": None}, {"a": []}, {"a": {}}, {"a..b": 1}, {"a[": 1}, {"a]": 1}]),
        (
            "json",
            [{"a|upper": 1}, {"a}}": 1}, {"a}} {{b": 1}, {"a[-1]": 1}, {"a": "x" * 501}, {"\0": 1}, {"a": 10**600}],
        ),
        ("unknown", [1]),
    ],
)
def test_bad_filters_are_refused_with_the_name_of_the_field(inbox: Forwarding, name: str, values: list[Any]) -> None:
    for value in values:
        body = json.dumps({"url": "https://example.com/", "filter": {name: value}})
        refused = inbox.api.generic("POST", f"{inbox.path}/destinations", body, "application/json")
        assert refused.status_code == 400, (value, refused.content)
        assert refused.json()["message"].startswith(name), (value, refused.content)
    for value in ([], "x", 1, True):
        body = json.dumps({"url": "https://example.com/", "filter": value})
        assert inbox.api.generic("POST", f"{inbox.path}/destinations", body, "application/json").status_code == 400
    assert not Destination.objects.exists()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("url", [None, 1, "", "x", "https://", "https://u:p@a/", "https://10.0.0.1/", "https://a:22/", "x" * 3000]),
        ("enabled", [None, "x", 3, [], {}]),
        ("timeout_seconds", [None, 0, 31, "x", [], {}, True, "NaN", 1e308]),
        ("ordered", [None, "x", 3, [], {}]),
        ("signature", [1, "x", [], {"provider": "x"}, {"provider": "github"}, {"secret": "a"}]),
        ("id", ["x"]),
    ],
)  # fmt: skip
def test_bad_destinations_are_refused_with_the_name_of_the_field(
    inbox: Forwarding, there: Receiver, name: str, values: list[Any]
) -> None:
    made = inbox.to(there)
    for value in values:
        for method, path in (("POST", ""), ("PATCH", f"/{made['id']}")):
            body = json.dumps({"url": "https://example.com/", name: value} if method == "POST" else {name: value})
            refused = inbox.api.generic(method, f"{inbox.path}/destinations{path}", body, "application/json")
            assert refused.status_code == 400, (value, refused.content)
            assert refused.json()["message"].startswith((name, "provider", "secret")), (value, refused.content)
    assert Destination.objects.count() == 1


def test_there_are_only_so_many_destinations(inbox: Forwarding, there: Receiver, settings: Settings) -> None:
    couriers.to_loopback(settings, destinations=2)
    for number in range(2):
        inbox.to(there, f"/{number}")
    refused = inbox.call("POST", "/destinations", {"url": there.url}, status=409)
    assert refused["error"] == "too_many_destinations"
