"""Where a template stands decides how values are written: a sender fills a placeholder and cannot leave it."""

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.captured import PLACES, documents, messages, rendered, sent, sent_json
from webhooks import templating
from webhooks.message import Message
from webhooks.templating import Context, TemplateError

JSON_TEMPLATE = (
    '{"in": "<{{ request.json.a }}>", "out": {{ request.json.a }}, "text": "{{ request.json.a | json }}",'
    ' "raw": {{ request.json.a | json }}, "body": "{{ request.body }}", "q": {{ request.query.a }},'
    ' "escaped\\\\": "\\"{{ request.query.a }}", "sum": [{{ request.body | hmac_sha256:"k" }}]}'
)


@given(messages)
def test_json_stays_json_of_the_same_structure(message: Message) -> None:
    answer = json.loads(rendered(JSON_TEMPLATE, message, Context.JSON))
    assert list(answer) == ["in", "out", "text", "raw", "body", "q", "escaped\\", "sum"]
    assert isinstance(answer["in"], str)
    assert answer["in"][0] + answer["in"][-1] == "<>"
    assert isinstance(answer["body"], str)


@given(documents)
def test_json_is_handed_through_as_it_was(document: object) -> None:
    whole = sent_json({"a": document})
    answer = rendered("{{ request.json.a }}", whole, Context.JSON)
    assert answer == rendered("{{ request.json.a | json }}", whole, Context.JSON)
    try:
        expected = json.dumps(document, allow_nan=False)
    except ValueError:
        expected = "null"  # NaN and infinity are no JSON, and what holds them counts as missing
    assert json.loads(answer) == json.loads(expected)


@pytest.mark.parametrize("text", ['{"a": "\\{{ request.id }}"}', '{"a": "\\u00{{ request.id }}"}'])
def test_json_has_no_half_escape_in_front_of_a_placeholder(text: str) -> None:
    with pytest.raises(TemplateError, match="line 1, column 8: a placeholder cannot follow a backslash"):
        templating.parse(text, Context.JSON)
    templating.parse(text, Context.TEXT)


def test_a_missing_value_outside_of_quotes_is_null() -> None:
    text = '{"a": {{ request.json.a }}, "b": "{{ request.json.b }}", "c": {{ request.json.c | default:0 }}}'
    assert json.loads(rendered(text, sent(), Context.JSON)) == {"a": None, "b": "", "c": 0}


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, int]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, len(attrs)))


@given(messages, st.sampled_from(["<script>", "\"'><img src=x onerror=alert(1)>", "&lt;", "\x00", "</p>"]))
def test_html_gets_no_tag_or_attribute_from_a_value(message: Message, hostile: str) -> None:
    body = hostile.encode() + message.body
    tags = _Tags()
    text = (
        "<p title=\"{{ request.body }}\"><b id='{{ request.query.a }}'>{{ request.body }}</b>{{ request.header.A }}</p>"
    )
    tags.feed(rendered(text, sent(target=message.target, body=body), Context.MARKUP))
    assert tags.seen == [("p", 1), ("b", 1)]


def test_markup_holds_no_character_that_xml_forbids() -> None:
    body = bytes(range(128)) + "\ufffe\uffff".encode()
    text = rendered("{{ request.body }}", sent(body=body), Context.MARKUP)
    assert not {character for character in text if character < " " or character in "\x7f\ufffe\uffff"} - set("\t\n\r")


@given(messages, st.sampled_from(PLACES))
def test_a_form_gets_no_field_from_a_value(message: Message, place: str) -> None:
    text = rendered(f"a={{{{ {place} }}}}&b=1", message, Context.FORM)
    assert [part.partition("=")[0] for part in text.split("&")] == ["a", "b"]


@pytest.mark.parametrize(
    ("media_type", "context"),
    [
        ("application/json", Context.JSON),
        ("application/problem+json", Context.JSON),
        ("text/html", Context.MARKUP),
        ("image/svg+xml", Context.MARKUP),
        ("text/xml", Context.MARKUP),
        ("application/xhtml+xml", Context.MARKUP),
        ("application/x-www-form-urlencoded", Context.FORM),
        ("text/plain", Context.TEXT),
        ("text/csv", Context.TEXT),
        ("", Context.TEXT),
    ],
)
def test_the_media_type_says_how_values_are_written(media_type: str, context: Context) -> None:
    assert templating.context_of(media_type) is context


@pytest.mark.parametrize(
    ("escape", "context", "written"),
    [
        ('"\\ud800"', Context.TEXT, "\ufffd"),
        ('"\\ud83d\\ude00"', Context.TEXT, "\U0001f600"),
        ('"a\\u0000b"', Context.TEXT, "a\x00b"),
        ('"a\\u0000b"', Context.JSON, '"a\\u0000b"'),
        ('"\\ud800"', Context.JSON, '"\ufffd"'),
        ('{"\\udfff": 1}', Context.JSON, '{"\ufffd":1}'),
        ('"\\r\\nSet-Cookie: a=b\\u007f"', Context.HEADER, "Set-Cookie: a=b"),
        ('"../?#/\\\\ \u00fc"', Context.URL, "..%2F%3F%23%2F%5C%20%C3%BC"),
    ],
)
def test_odd_characters_can_be_encoded(escape: str, context: Context, written: str) -> None:
    assert rendered("{{ request.json }}", sent(body=escape.encode()), context) == written
