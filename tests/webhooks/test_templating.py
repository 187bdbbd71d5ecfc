"""Templates: what a placeholder finds, how it is written, what a hostile request or template cannot do."""

import base64
import contextlib
import hashlib
import hmac
import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.captured import CAPTURE, PLACES, messages, rendered, sent, sent_json
from webhooks import templating
from webhooks.facts import Facts
from webhooks.message import Message
from webhooks.templating import Context, TemplateError

REQUEST = Message(
    "PUT",
    "/webhook/receive/key/a%2Fb?name=J%C3%BCrgen+B&name=second&hub.challenge=11&odd%20name=x&empty=&ids%5B%5D=7",
    "1.1",
    (("Content-Type", "application/json"), ("X-Sign", "one"), ("x-sign", "two"), ("X-Utf", "\xc3\xbc")),
    b'{"a": {"b": [{"c": "deep"}, 1.10, 1e400, true, null]}, "odd key": 5, "7": "seven"}',
)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("request.method", "PUT"),
        ("request.path", "/webhook/receive/key/a%2Fb"),
        ("request.query.name", "Jürgen B"),
        ("request.query.name[1]", "second"),
        ("request.query.name[2]", ""),
        ('request.query["hub.challenge"]', "11"),
        ("request.query.hub.challenge", "11"),
        ("request.query['odd name']", "x"),
        ('request.query["ids[]"]', "7"),
        ("request.query.empty", ""),
        ("request.query.missing", ""),
        ("request.header.x-SIGN", "one"),
        ("request.headers.X-Sign[1]", "two"),
        ('request.header["x-sign"]', "one"),
        ("request.header.X-Utf", "ü"),
        ("request.json.a.b[0].c", "deep"),
        ('request.json["a"]["b"][0]["c"]', "deep"),
        ("request.json.a.b.0.c", "deep"),
        ("request.json.a.b[1]", "1.10"),
        ("request.json.a.b[2]", "1e400"),
        ("request.json.a.b[3]", "true"),
        ("request.json.a.b[4]", ""),
        ("request.json.a.b[9]", ""),
        ("request.json.a.b.c", ""),
        ("request.json.a.b[0].c.d", ""),
        ('request.json["odd key"]', "5"),
        ("request.json[7]", "seven"),
        ("request.json.a.b", '[{"c":"deep"},1.10,1e400,true,null]'),
        ("request.form.name", ""),
        ("request.id", str(CAPTURE)),
        ("request.received_at", "2022-02-22T19:22:22.000Z"),
        ('"{{ \\" }}"', '{{ " }}'),
    ],
)
def test_a_placeholder_finds_its_value(expression: str, found: str) -> None:
    assert rendered(f"<{{{{ {expression} }}}}|{{{{{expression}}}}}>", REQUEST) == f"<{found}|{found}>"


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ('request.query.missing | default:"none"', "none"),
        ("request.json.a.b[4] | default:0", "0"),
        ('request.query.empty | default:"none"', "none"),
        ('request.query.name | default:"none"', "Jürgen B"),
        ("request.query.name|upper", "JÜRGEN B"),
        ("request.method | lower", "put"),
        ("request.query.name | json", '"Jürgen B"'),
        ("request.query.missing | json", "null"),
        ("request.query.missing | base64", ""),
        ("request.query.name | base64", base64.b64encode("Jürgen B".encode()).decode()),
        ('request.query.name | hmac_sha256:"k"', hmac.digest(b"k", "Jürgen B".encode(), "sha256").hex()),
    ],
)
def test_a_filter_changes_the_value(expression: str, found: str) -> None:
    assert rendered(f"{{{{ {expression} }}}}", REQUEST) == found


def test_a_form_is_read_when_the_request_says_it_is_one() -> None:
    form = sent(body=b"a=1+2&b.c=%26", Content_Type="application/x-www-form-urlencoded; charset=utf-8")
    assert rendered("{{ request.form.a }} {{ request.form.b.c }}", form) == "1 2 &"
    assert rendered("{{ request.form.a }}", sent(body=b"a=1", Content_Type="text/plain")) == ""
    too_long = sent(body=b"a=1&b=" + b"x" * 256 * 1024, Content_Type="application/x-www-form-urlencoded")
    assert rendered("{{ request.form.a }}{{ request.body }}", too_long) == ""


@pytest.mark.parametrize("body", [b"\xff\x00\x80", b"\xed\xa0\x80", b"plain"])
def test_a_signature_is_over_the_bytes_that_came(body: bytes) -> None:
    text = '{{ request.body | hmac_sha256:"k" }}'
    assert rendered(text, sent(body=body)) == hmac.digest(b"k", body, hashlib.sha256).hex()


@pytest.mark.parametrize(
    ("text", "place", "says"),
    [
        ("{{", "line 1, column 3", "begins with request."),
        ("{{ }}", "line 1, column 4", "begins with request."),
        ("ok\n {{ reqest.id }}", "line 2, column 5", "begins with request."),
        ("{{ request }}", "line 1, column 4", "request has method, path"),
        ("{{ request.nothing }}", "line 1, column 4", "request has method, path"),
        ("{{ request.__class__ }}", "line 1, column 4", "request has method, path"),
        ("{{ request.query }}", "line 1, column 4", "needs a name"),
        ("{{ request.query[0] }}", "line 1, column 4", "needs a name"),
        ("{{ request.query.a[0].b }}", "line 1, column 4", "needs a name"),
        ("{{ request.id.hex }}", "line 1, column 4", "request.id has no parts"),
        ("{{ request.json. }}", "line 1, column 18", "after a dot comes a name"),
        ("{{ request.json.a[ }}", "line 1, column 20", "in brackets stands"),
        ("{{ request.json[-1] }}", "line 1, column 17", "in brackets stands"),
        ("{{ request.json[9999999999] }}", "line 1, column 17", "in brackets stands"),
        ('{{ request.json["a }}', "line 1, column 17", "this quote is never closed"),
        ('{{ request.json["a\\', "line 1, column 17", "this quote is never closed"),
        ("{{ request.id", "line 1, column 14", "ends with }}"),
        ("{{ request.id }", "line 1, column 15", "ends with }}"),
        ("{{ request.id + 1 }}", "line 1, column 15", "ends with }}"),
        ("{{ request.json.a() }}", "line 1, column 18", "ends with }}"),
        ("{{ request.id | eval }}", "line 1, column 17", "no such filter"),
        ("{{ request.id | }}", "line 1, column 17", "no such filter"),
        ("{{ request.id | default }}", "line 1, column 17", "needs an argument"),
        ('{{ request.id | json:"x" }}', "line 1, column 17", "takes no argument"),
        ("{{ request.id | default: }}", "line 1, column 26", "quoted"),
        ("{{ request.id | default:01 }}", "line 1, column 25", "quoted"),
        ("{{ request.json" + ".a" * 21 + " }}", "line 1, column 56", "at most 20"),
        ("{{ request.json." + "a" * 201 + " }}", "line 1", "up to 200"),
        ('{{ request.json["' + "a" * 201 + '"] }}', "line 1", "at most 200"),
        ("{{ request.id" + "|json" * 6 + " }}", "line 1", "at most 5"),
        ("{{ request.id }}" * 51, "line 1, column 801", "at most 50"),
        ("ü" * (32 * 1024 + 1), "line 1, column 1", "at most 65536 bytes"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(text: str, place: str, says: str) -> None:
    with pytest.raises(TemplateError) as caught:
        templating.parse(text, Context.TEXT)
    assert str(caught.value).startswith(place)
    assert says in str(caught.value)


def test_the_limits_themselves_are_allowed() -> None:
    templating.parse("{{ request.json" + ".a" * 20 + "|json" * 5 + " }}", Context.TEXT)
    assert rendered("{{ request.method }}" * 50, sent()) == "POST" * 50
    assert rendered("x" * templating.MAX_BYTES, sent()) == "x" * templating.MAX_BYTES


@pytest.mark.parametrize("text", ["}}", "{ {request.id} }", "{% if x %}", "${request.id}", "{", "a {"])
def test_other_text_stays_as_it_is(text: str) -> None:
    assert rendered(text, sent()) == text


@given(messages, st.lists(st.sampled_from(PLACES), max_size=8), st.sampled_from(Context))
def test_rendering_never_fails_and_never_exceeds_its_limit(
    message: Message, places: list[str], context: Context
) -> None:
    text = " ".join(f"{{{{ {place} }}}}" for place in places)
    most = 200
    answer = templating.parse(text, context).render(Facts(message, CAPTURE), most)
    assert len(answer) <= most
    if context is not Context.HEADER:
        answer.decode()


@given(st.text(st.sampled_from("{}|.\"'[]\\ \nrequest.json0:default-ü\ud800\x00"), max_size=40))
def test_a_template_is_read_or_refused(noise: str) -> None:
    for text in (noise, f"{{{{ {noise}", f"{{{{ request.json{noise} }}}}"):
        for context in (Context.TEXT, Context.JSON):
            with contextlib.suppress(TemplateError):
                templating.parse(text, context).render(Facts(sent(), CAPTURE))


def test_a_value_that_does_not_fit_is_left_out_whole() -> None:
    big = "x" * 40_000
    text = (
        '{"a": "{{ request.json.a }}", "b": "{{ request.json.a }}", "c": {{ request.json.a }}, "d": "{{ request.id }}"}'
    )
    answer = rendered(text, sent_json({"a": big}), Context.JSON)
    assert json.loads(answer) == {"a": big, "b": "", "c": None, "d": str(CAPTURE)}


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b'{"a":' * 200_000,
        b"[" * 150 + b"1" + b"]" * 150,
        b'{"a": NaN}',
        b'{"a": "\xff"}',
        b'{"a": "\x00"}',
        b"\xff\xfe{\x00}\x00",
        b'{"a": 1} x',
        b"",
        b'"' + b"x" * 70_000 + b'"',
        b"[" + b"1," * 40_000 + b"1]",
        b"1" * 100_000,
        b"{}" + b" " * 256 * 1024,
    ],
    ids=lambda body: repr(body[:12]),
)
def test_a_hostile_document_counts_as_missing(body: bytes) -> None:
    text = '[{{ request.json }}, "{{ request.json }}", {{ request.json.a }}]'
    assert json.loads(rendered(text, sent(body=body), Context.JSON)) == [None, "", None]


def test_a_value_that_is_too_long_is_missing_to_a_filter_too() -> None:
    text = '{{ request.body | hmac_sha256:"k" }}|{{ request.body | default:"none" }}'
    assert rendered(text, sent(body=b"x" * 65_537)) == "|none"
    assert len(rendered('{{ request.body | hmac_sha256:"k" }}', sent(body=b"x" * 65_536))) == 64


def test_what_is_written_of_json_has_a_limit_for_all_placeholders_together() -> None:
    document = sent_json({"a": ["x" * 60_000]})
    text = '{{ request.json.a | hmac_sha256:"k" }} ' * 3
    digest = hmac.digest(b"k", f'["{"x" * 60_000}"]'.encode(), "sha256").hex()
    assert rendered(text, document).split() == [digest] * 2


def test_a_number_is_never_converted() -> None:
    digits = "1" * 5000
    assert rendered("{{ request.json.a }}", sent(body=f'{{"a": {digits}}}'.encode()), Context.JSON) == digits


def test_json_is_parsed_only_for_a_placeholder_that_needs_it() -> None:
    facts = Facts(sent_json({"a": 1}), CAPTURE)
    templating.parse("{{ request.id }}{{ request.query.a }}", Context.TEXT).render(facts)
    assert "_json" not in vars(facts)
    templating.parse("{{ request.json.a }}", Context.TEXT).render(facts)
    assert "_json" in vars(facts)


def test_many_fields_are_read_up_to_a_limit() -> None:
    target = "/k?" + "&".join(f"n{place}=v" for place in range(5000))
    assert rendered("{{ request.query.n999 }}|{{ request.query.n1000 }}", sent(target=target)) == "v|"


def test_only_a_uuid_with_a_time_has_a_time() -> None:
    for capture_id in (uuid.UUID(int=0), uuid.UUID("c232ab00-9414-41ec-b3c8-9f6bdeced846"), uuid.UUID(int=2**128 - 1)):
        facts = Facts(sent(), capture_id)
        assert templating.parse("{{ request.received_at }}", Context.TEXT).render(facts) == b""
    latest = uuid.UUID("ffffffff-ffff-7fff-bfff-ffffffffffff")
    assert templating.parse("{{ request.received_at }}", Context.TEXT).render(Facts(sent(), latest)) == b""


def test_a_short_template_is_parsed_once_and_a_long_one_is_not_kept() -> None:
    short, long = "{{ request.id }}", "{{ request.id }}" + "x" * 9000
    assert templating.compiled(short, Context.TEXT) is templating.compiled(short, Context.TEXT)
    assert templating.compiled(long, Context.TEXT) is not templating.compiled(long, Context.TEXT)
    assert templating.compiled(short, Context.TEXT) != templating.compiled(short, Context.MARKUP)
