"""What is shown is what was sent, and nothing of what was sent is ever markup."""

import json
import re
from html.parser import HTMLParser

import pytest
from django.utils.safestring import SafeString
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.messages import anything, data, json_texts, message
from webhooks import json_text, markup, xml_text
from webhooks.bodies import Body
from webhooks.markup import json_markup, text_markup, xml_markup
from webhooks.message import Message

CLASSES = set(re.findall(r"(?<![\w.-])[jx]-[a-z]+", markup.__doc__ or "")) | {"j", "x", "t"}
ELEMENTS = {"pre", "div", "span", "details", "summary"}
COUNT = re.compile(r"\d+ (item|key)s?")


class Shown(HTMLParser):
    """What a browser makes of it: the text, after checking that every element and attribute is one of ours."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in ELEMENTS
        for name, value in attrs:
            assert name in ("class", "open", "data-count", "data-close")
            assert name != "class" or value in CLASSES
            assert name != "data-count" or COUNT.fullmatch(value or "")
            assert name != "data-close" or value in ("}", "]")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_comment(self, data: str) -> None:
        pytest.fail(f"a comment: {data}")

    def handle_decl(self, decl: str) -> None:
        pytest.fail(f"a declaration: {decl}")

    def handle_pi(self, data: str) -> None:
        pytest.fail(f"an instruction: {data}")

    def unknown_decl(self, data: str) -> None:
        pytest.fail(f"a declaration: {data}")


def shown(html: SafeString | None) -> str:
    assert isinstance(html, SafeString)
    text = Shown(html).text
    return text.removeprefix("\n") if html.startswith("<pre") else text


def squeezed(text: str) -> str:
    """Without the white space that laying out puts in or takes away."""
    return re.sub(r"\s", "", text)


@given(anything)
def test_nothing_that_was_sent_is_markup(any_message: Message) -> None:
    body = Body(any_message)
    html = markup.body_markup(body)
    if html is not None and body.text:
        assert squeezed(shown(html)) == squeezed(body.text.shown)


@given(data | json_texts, st.sampled_from([json_markup, xml_markup, text_markup]))
def test_no_function_shows_more_or_less_than_the_text(body: bytes, function: object) -> None:
    text = body.decode("utf-8", "replace")
    assert callable(function)
    assert squeezed(shown(function(text))) == squeezed(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_plain_text_is_shown_exactly(text: str) -> None:
    assert shown(text_markup(text)) == text


SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({SCRIPT: [SCRIPT, {"</details></div>" + SCRIPT: "&lt;b&gt;"}]}),
        f"<a x='{SCRIPT}'>",
        f"<a x='\"onload=alert(1) y'><!--{SCRIPT}--><![CDATA[{SCRIPT}]]>&lt;script&gt;<script>alert(1)</script></a>",
        f"<?xml {SCRIPT} ?><!DOCTYPE a [<!ENTITY x '{SCRIPT}'>]><a>&x;</a>",
        "\n\n" + SCRIPT,
        '{"a": "javascript:alert(1)", "b": "https://example.com/"}',
        "</pre>" + SCRIPT,
    ],
)
def test_scripts_are_text(text: str) -> None:
    for function in (json_markup, xml_markup, text_markup):
        html = function(text)
        assert not re.search(r"<\s*(script|a|b)\b|href|onload\s*=\s*[^a]", html)
        assert squeezed(shown(html)) == squeezed(text)


def test_json_is_shown_as_it_was_sent() -> None:
    sent = r'{"b":1.10,"a":[1e400,-0,12345678901234567890123],"b":"\u00e9\/","":{},"n":null}'
    assert shown(json_markup(sent)) == (
        r'{"b": 1.10,"a": [1e400,-0,12345678901234567890123],"b": "\u00e9\/","": {},"n": null}'
    )
    assert json_text.pretty(sent) == "\n".join(
        [
            "{",
            '  "b": 1.10,',
            '  "a": [',
            "    1e400,",
            "    -0,",
            "    12345678901234567890123",
            "  ],",
            r'  "b": "\u00e9\/",',
            '  "": {},',
            '  "n": null',
            "}",
        ]
    )


def test_json_folds_say_what_they_hold() -> None:
    html = json_markup('{"a": [1], "b": {"c": true, "d": "x"}}')
    assert re.findall(r'data-count="([^"]*)" data-close="(.)"', html) == [
        ("2 keys", "}"), ("1 item", "]"), ("2 keys", "}"),
    ]  # fmt: skip
    for part in ('j-key">&quot;a&quot;', 'j-num">1<', 'j-lit">true', 'j-str">&quot;x&quot;'):
        assert part in html


def test_json_lines_are_one_block_each() -> None:
    assert shown(json_markup('{"a": 1}\n{"a": 2}\n')) == '{"a": 1}{"a": 2}'
    assert json_text.pretty('{"a":1} []') == '{\n  "a": 1\n}\n[]'


NO_JSON = (
    *("", "01", "1 2", "+1", "1.", ".5", "1e", "\u0661", "tru", "nul", "NaN", "'a'", '"\t"', '"\\x"'),
    *("[", "]", "{]", "[1,]", "[,1]", "[1 2]", "[1]]", "[1],", "::"),
    *('{"a"}', '{"a":}', '{"a":1,}', "{1:2}", '{"a":"b"', '{"a":1:2}'),
)
NO_XML = (
    *("", "a", "<a", "<a>", "</a>", "<a></b>", "<a/>b", "<a x=1/>", "<a><!-- </a>", "<!DOCTYPE a"),
    *("<a>" * 100_000, "<a b='" * 1_000, "<" * 1_000_000, "<a>" * 61 + "</a>" * 61),
)


@pytest.mark.parametrize("text", NO_JSON)
def test_what_is_no_json_is_text(text: str) -> None:
    assert json_text.parse(text) is None
    assert json_text.problem(text) is not None
    assert shown(json_markup(text)) == text


def test_json_beyond_the_limits_is_still_shown() -> None:
    deep = "[" * json_text.MAX_DEPTH + "]" * json_text.MAX_DEPTH
    assert 'class="j"' in json_markup(deep)
    assert shown(json_markup(f"[{deep}]")) == f"[{deep}]"
    assert 'class="t"' in json_markup("[" * 1_000_000)
    long = json.dumps(list(range(markup.MAX_LINES)))
    assert shown(json_markup(long)) == json.dumps(json.loads(long), indent=2)
    assert 'class="t"' in json_markup(long)
    endless = "[" + "1," * json_text.MAX_VALUES + "1]"
    assert shown(json_markup(endless)) == endless


def test_indenting_that_would_make_too_much_is_not_done() -> None:
    depth, numbers = json_text.MAX_DEPTH - 1, "1," * (json_text.MAX_VALUES - 200)
    text = "[" * depth + numbers + "1" + "]" * depth
    assert json_text.parse(text)
    assert shown(json_markup(text)) == text


def test_xml_is_indented() -> None:
    sent = (
        "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b \"c\">]>\n<a x='1'  y = \"&lt;\"><b> kept </b><c/>"
        "<!-- note --><d><![CDATA[<raw>]]></d><e></e> mixed <f><g>1</g></f></a>"
    )
    html = xml_markup(sent)
    assert shown(html) == "\n".join(
        [
            "<?xml version='1.0'?>",
            '<!DOCTYPE a [<!ENTITY b "c">]>',
            "<a x='1'  y = \"&lt;\">",
            "  <b> kept </b>",
            "  <c/>",
            "  <!-- note -->",
            "  <d><![CDATA[<raw>]]></d>",
            "  <e></e>",
            "  mixed",
            "  <f>",
            "    <g>1</g>",
            "  </f>",
            "</a>",
        ]
    )
    for name in CLASSES:
        assert not name.startswith("x-") or f'class="{name}"' in html


@pytest.mark.parametrize("text", NO_XML, ids=lambda text: text[:20])
def test_what_is_no_xml_is_text(text: str) -> None:
    assert xml_text.pretty(text) is None
    assert shown(xml_markup(text)) == text


def test_xml_of_many_attributes_is_text() -> None:
    text = "<a>\n  <b" + " c='d'" * 100_000 + "/>\n</a>"
    assert xml_markup(text) == text_markup(text)


def test_a_billion_laughs_are_not_told() -> None:
    entities = "".join(f'<!ENTITY l{n + 1} "{f"&l{n};" * 10}">' for n in range(9))
    text = f'<!DOCTYPE l [<!ENTITY l0 "lol">{entities}]><l>&l9;</l>'
    assert "&l9;" in shown(xml_markup(text))
    assert len(xml_markup(text)) < 10 * len(text)


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (b'{"a": 1}', '<div class="j">'),
        (b"<a/>", '<pre class="x">'),
        (b"a", '<pre class="t">'),
        (b"", None),
        (b"\0", None),
        (b"GIF89a", None),
    ],
)
def test_a_body_is_shown_by_its_kind(body: bytes, start: str | None) -> None:
    html = markup.body_markup(Body(message(body)))
    assert (html is None) if start is None else (html or "").startswith(start)
