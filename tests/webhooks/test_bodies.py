"""What a body is taken for, and that its exact bytes come back from what the API gives."""

import codecs
import encodings
import gzip
import json
import zlib
from base64 import b64decode

import pytest
from hypothesis import given, settings

from tests.webhooks.messages import anything, data, message
from webhooks import charsets, content, json_text
from webhooks.bodies import MAX_FIELDS, Body
from webhooks.detail import body_fields
from webhooks.message import Message

FORM = "application/x-www-form-urlencoded"
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


@pytest.mark.parametrize(
    ("body", "content_type", "kind"),
    [
        (b"", "application/json", "empty"),
        (b'{"a": 1}', "application/json; charset=utf-8", "json"),
        (b'{"a": 1}', "application/vnd.api+json", "json"),
        (b'{"a": 1}', FORM, "json"),
        (b" [1, 2]\n", "text/plain", "json"),
        (b'{"a": 1}', "", "json"),
        (b'{"a": 1}\n{"a": 2}\n', "application/x-ndjson", "json"),
        (b"\xef\xbb\xbf{}", "application/json", "json"),
        ('{"é": 1}'.encode("utf-16"), "application/json; charset=utf-16", "json"),
        (b"12", "application/json", "json"),
        (b"12", "text/plain", "text"),
        (b'{"a": }', "application/json", "text"),
        (b"{'a': 1}", "text/plain", "text"),
        (b"[INFO] started", "text/plain", "text"),
        (b"\xff{}", "application/json", "binary"),
        (b"a=1&b=2", FORM, "form"),
        (b"a=1&b=2", "text/plain", "text"),
        (b"--b\r\n\r\nx\r\n--b--", "multipart/form-data; boundary=b", "multipart"),
        (b"no part", "multipart/form-data; boundary=b", "text"),
        (b"<a/>", "text/xml", "xml"),
        (b"<soap:Envelope>", "application/soap+xml", "xml"),
        (b"<?xml version='1.0'?><a/>", "", "xml"),
        (b"<svg></svg>", "image/svg+xml", "xml"),
        (b"<!doctype html><p>", "text/html", "text"),
        (b"<html><p>", "", "text"),
        (PNG, "image/png", "image"),
        (PNG, "text/plain", "image"),
        (PNG, "", "image"),
        (b"GIF89a......", "application/octet-stream", "image"),
        (b"not a picture", "image/png", "text"),
        (b"\0\1\2", "image/png", "binary"),
        (b"plain", "application/octet-stream", "text"),
        (b"\0\1\2\xff", "application/octet-stream", "binary"),
        (b"a\0b", "", "binary"),
        (b"a\0b", "text/plain", "text"),
    ],
)
def test_a_body_is_what_its_type_says_or_its_bytes(body: bytes, content_type: str, kind: str) -> None:
    assert Body(message(body, content_type)).kind == kind


@pytest.mark.parametrize(
    ("body", "charset", "text", "found"),
    [
        (b"caf\xc3\xa9", "", "café", "utf-8"),
        (b"caf\xe9", "ISO-8859-1", "café", "iso-8859-1"),
        (b"\x80", "windows-1252", "€", "cp1252"),
        (b"caf\xc3\xa9", "rot13", "café", "utf-8"),
        (b"\xef\xbb\xbfa", "latin1", "\ufeffa", "utf-8"),
        (b"\xfe\xff\0a", "", "\ufeffa", "utf-16-be"),
        (b"\0a", "utf-16", "a", "utf-16-be"),
        (b"a\0", "utf-16", "a", "utf-16-le"),
        ("日本".encode("shift_jis"), "Shift_JIS", "日本", "shift-jis"),
    ],
)
def test_text_is_decoded_by_mark_then_charset_then_utf_8(body: bytes, charset: str, text: str, found: str) -> None:
    fields = body_fields(message(body, f"text/plain; charset={charset}"))
    assert (fields["body"], fields["charset"], fields["body_base64"]) == (text, found, None)


@pytest.mark.parametrize(
    "body",
    [
        b"caf\xe9",
        b"\xed\xa0\x80",
        b"\xff\xfe\x00\xd8",
        # Both are the letter A to a decoder, with an escape that an encoder would not write.
        b"\x1b(B\x1b(BA\xff",
    ],
)
def test_what_would_not_come_back_exactly_is_base64(body: bytes) -> None:
    fields = body_fields(message(body, "text/plain; charset=iso-2022-jp"))
    assert fields["body"] is None
    assert b64decode(fields["body_base64"]) == body


def test_redundant_escapes_of_a_stateful_charset_are_not_lost() -> None:
    assert b"\x1b(BA".decode("iso2022_jp") == "A"
    assert charsets.strict(b"\x1b(BA", "iso2022_jp") is None
    fields = body_fields(message(b"\x1b(BA", "text/plain; charset=iso-2022-jp"))
    assert fields["body"].encode(fields["charset"]) == b"\x1b(BA"


@given(anything)
def test_exact_bytes_come_back_whatever_was_sent(any_message: Message) -> None:
    fields = body_fields(any_message)
    json.dumps(fields, ensure_ascii=False).encode("utf-8")
    assert (fields["body"] is None) != (fields["body_base64"] is None)
    if fields["body"] is not None:
        assert fields["body"].encode(fields["charset"]) == any_message.body
    else:
        assert b64decode(fields["body_base64"]) == any_message.body


@pytest.mark.parametrize(
    "name",
    [
        "rot13",
        "zip",
        "zlib",
        "bz2",
        "hex",
        "base64",
        "idna",
        "punycode",
        "undefined",
        "unicode_escape",
        "raw_unicode_escape",
        "mbcs",
        "utf-7",
    ],
)
def test_a_codec_that_is_no_charset_is_never_used(name: str) -> None:
    assert charsets.known(name) is None


def test_every_charset_is_one_that_python_has() -> None:
    for name in charsets._KNOWN:
        shown = charsets.decode("a".encode(name), name, textual=True)
        assert shown
        assert codecs.lookup(shown.charset)


def test_names_from_strangers_are_not_remembered() -> None:
    before = len(encodings._cache)
    for number in range(100):
        body_fields(message(b"a", f"text/plain; charset=made-up-{number}"))
    assert len(encodings._cache) == before


def test_form_fields_keep_order_and_repetition() -> None:
    fields = body_fields(message(b"b=2&a=1&b=%c3%a9+x&empty=&bare&=v&&bad=%zz%ff", FORM))
    assert fields["form"] == [
        ["b", "2"], ["a", "1"], ["b", "é x"], ["empty", ""], ["bare", ""], ["", "v"], ["bad", "%zz\ufffd"],
    ]  # fmt: skip


def test_a_form_of_a_million_fields_is_cut_and_says_so() -> None:
    fields = body_fields(message(b"a&" * 500_000, FORM))
    assert (len(fields["form"]), fields["complete"]) == (MAX_FIELDS, False)


@pytest.mark.parametrize(
    ("body", "content_type", "problem"),
    [
        (b'{"a": 1,}', "application/json", "line 1, column 9"),
        (b'{\n"a": 1\n"b": 2}', FORM, "line 3, column 1: expecting ',' delimiter"),
        (b"[NaN]", "application/json", "NaN is not JSON"),
        (b"[" * 1_000_000, "application/json", "nested deeper"),
        (b"a=1", "application/json", "line 1, column 1"),
    ],
)
def test_broken_json_says_where(body: bytes, content_type: str, problem: str) -> None:
    assert problem in body_fields(message(body, content_type))["json_problem"]


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"[INFO] x", "text/plain"), (b"a=1", FORM), (b"9" * 9_000, "application/json"), (b"{}", FORM)],
)
def test_what_is_fine_or_no_json_has_no_problem(body: bytes, content_type: str) -> None:
    assert body_fields(message(body, content_type))["json_problem"] is None


@given(data)
def test_our_reader_of_json_agrees_with_pythons(body: bytes) -> None:
    text = body.decode("utf-8", "replace")
    valid, values = json_text.problem(text) is None, json_text.parse(text)
    depth = text.count("[") + text.count("{")
    if valid and depth < json_text.MAX_DEPTH:
        assert values is not None
    if not valid and values is not None:
        assert len(values) > 1


def gzipped(data: bytes) -> bytes:
    """Without the time in it: these tests are named by their bytes, which every process has to find alike."""
    return gzip.compress(data, mtime=0)


def deflate_raw(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        ("gzip", gzipped(b'{"a": 1}')),
        ("X-GZIP", gzipped(b'{"a"') + gzipped(b": 1}")),
        ("gzip", gzipped(b'{"a": 1}') + b"\0" * 10),
        ("deflate", zlib.compress(b'{"a": 1}')),
        ("deflate", deflate_raw(b'{"a": 1}')),
        ("deflate, gzip", gzipped(zlib.compress(b'{"a": 1}'))),
    ],
)
def test_a_compressed_body_is_shown_decoded_and_kept_exact(coding: str, packed: bytes) -> None:
    sent = message(packed, "application/json", ("Content-Encoding", coding))
    fields = body_fields(sent)
    assert b64decode(fields["body_base64"]) == packed
    assert (fields["decoded"]["text"], fields["decoded"]["problem"]) == ('{"a": 1}', None)
    assert (fields["kind"], fields["complete"]) == ("json", True)


@pytest.mark.parametrize(
    ("packed", "coding", "data", "problem"),
    [
        (b"plain", "gzip", b"plain", "is not gzip"),
        (b"plain", "br", b"plain", "br is not decoded"),
        (b"plain", "gzip,gzip,gzip,gzip", b"plain", "is not decoded"),
        (gzipped(b"x" * 100)[:-9], "gzip", b"x" * 100, "ends too early"),
        (gzipped(b"x") * 10_000, "gzip", b"x" * 64, "first 64 gzip members"),
    ],
)
def test_what_cannot_be_decoded_says_why(packed: bytes, coding: str, data: bytes, problem: str) -> None:
    found = content.of(message(packed, "", ("Content-Encoding", coding)))
    assert found.data == data
    assert problem in found.problem


def test_damage_leaves_what_came_before_it() -> None:
    packed = bytearray(gzip.compress(bytes(range(256)) * 40, compresslevel=0))
    packed[-6] ^= 0xFF
    found = content.of(message(bytes(packed), "", ("Content-Encoding", "gzip")))
    assert found.data.startswith(bytes(range(256)))
    assert "damaged" in found.problem


def test_a_bomb_is_cut_at_the_limit() -> None:
    bomb = gzip.compress(gzip.compress(b"\0" * 200_000_000))
    found = content.of(message(bomb, "", ("Content-Encoding", "gzip, gzip")))
    assert len(found.data) == content.MAX_BYTES
    assert "8 MiB" in found.problem


@settings(max_examples=50)
@given(data)
def test_whatever_is_packed_comes_out(body: bytes) -> None:
    found = content.of(message(gzip.compress(body), "", ("Content-Encoding", "gzip")))
    assert (found.data, found.problem) == (body, "")
