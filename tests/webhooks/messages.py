"""Messages for tests, and every kind of bytes for the property tests."""

import json
from typing import Any

from hypothesis import strategies as st

from webhooks.message import Message


def message(body: bytes = b"", content_type: str = "", *headers: tuple[str, str], **other: Any) -> Message:
    """A POST with this body; `other` are fields of Message."""
    typed = (("Content-Type", content_type),) if content_type else ()
    fields: dict[str, Any] = {"method": "POST", "target": "/webhook/receive/key", "version": "1.1"}
    return Message(**{**fields, "headers": (*typed, *headers), "body": body, **other})


CHARSETS = ("utf-8", "latin1", "utf-16", "utf-16be", "utf-32", "ascii", "shift_jis", "iso-2022-jp", "hz", "gb18030")
NO_CHARSETS = (
    *("rot13", "zip", "zlib", "bz2", "hex", "base64", "idna", "punycode", "undefined", "unicode_escape"),
    *("raw_unicode_escape", "mbcs", "utf-7", "../os", "\0", "é", ""),
)
TYPES = (
    "",
    "application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=b",
    'multipart/mixed; boundary="-"',
    "multipart/form-data",
    "text/xml",
    "text/html",
    "image/png",
    "application/octet-stream",
    *(f"text/plain; charset={name}" for name in (*CHARSETS, *NO_CHARSETS)),
)
NASTY = (
    b"",
    b"\0",
    b"\xef\xbb\xbf{}",
    b"\xff\xfe{\0}\0",
    b"\xff\xfe\x00\xd8",
    b"\xed\xa0\x80",
    b'{"a": "\\ud800"}',
    b"[" * 5_000,
    b"1" * 6_000,
    b'{"a":1,"a":1.10}\n[1e400]',
    b"--b\r\n\r\n" * 50,
    b'--b\r\nContent-Disposition: form-data; name="a\r\n\r\n--b--',
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>",
    b"<a " * 500,
    b"<script>alert(1)</script>",
    b"\x1f\x8b\x08\0\0\0\0\0",
    b"%zz=%&&=+",
    b"\x89PNG\r\n\x1a\n<script>",
)

json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
).map(lambda value: json.dumps(value).encode())
pieces = st.sampled_from(
    [
        *b"<>&\"'/=-{}[]:,;%@\\\r\n\t\0 ab1",
        b"--b",
        b"\r\n",
        b"<a>",
        b"</a>",
        b"<!--",
        b"]]>",
        b"{}",
        b"\xff\xfe",
        b"\xc3\xa9",
    ]
).map(lambda piece: piece if isinstance(piece, bytes) else bytes([piece]))
data = (
    st.binary(max_size=200)
    | st.sampled_from(NASTY)
    | json_texts
    | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.lists(pieces, max_size=40).map(b"".join)
)
codings = st.sampled_from([(), (("Content-Encoding", "gzip"),), (("Content-Encoding", "deflate, gzip, br"),)])
anything = st.builds(
    lambda body, content_type, more: message(body, content_type, *more), data, st.sampled_from(TYPES), codings
)
