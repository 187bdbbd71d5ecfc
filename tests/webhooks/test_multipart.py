"""Parts come out of a multipart body exactly as they went in."""

from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from tests.webhooks.messages import data, message
from webhooks import multipart
from webhooks.bodies import Body
from webhooks.detail import body_fields
from webhooks.multipart import MAX_PARTS, Multipart, Part

# A name that ends in a backslash, or has one before a quote, is written in a way that no reader can tell apart.
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\\0"), min_size=1, max_size=12).filter(
    lambda name: not any(word in name for word in ("%22", "%0D", "%0A"))
)
contents = data | st.binary(max_size=50)


def posted(**files: Any) -> tuple[bytes, str]:
    """The body that requests makes, and its content type."""
    prepared = requests.Request("POST", "http://localhost/", **files).prepare()
    assert isinstance(prepared.body, bytes)
    return prepared.body, prepared.headers["Content-Type"]


def parts(body: bytes, boundary: str = "b") -> tuple[Part, ...]:
    found = multipart.parse(body, boundary)
    assert found
    return found.parts


@given(st.lists(st.tuples(names, names, contents), min_size=1, max_size=5))
def test_what_requests_sends_comes_out(sent: list[tuple[str, str, bytes]]) -> None:
    body, content_type = posted(files=[(name, (filename, held, "a/b")) for name, filename, held in sent])
    found = Body(message(body, content_type)).parts
    assert found
    assert found.complete
    assert [(part.name, part.filename, part.content) for part in found.parts] == sent
    assert all(body[part.offset : part.offset + part.size] == part.content for part in found.parts)
    assert {part.content_type for part in found.parts} == {"a/b"}


@given(st.lists(contents, max_size=5), st.sampled_from(["b", "-", "'()+_,-./:=?", "--b", "a b"]))
def test_content_that_has_no_delimiter_comes_out(held: list[bytes], boundary: str) -> None:
    mark = b"--" + boundary.encode()
    held = [piece for piece in held if mark not in b"\r\n" + piece]
    body = b"".join(mark + b"\r\nA: 1\r\n\r\n" + piece + b"\r\n" for piece in held) + mark + b"--\r\n"
    found = multipart.parse(body, boundary)
    assert [part.content for part in found.parts] == held if found else not held


@given(data, st.text(max_size=10))
def test_any_bytes_are_read(body: bytes, boundary: str) -> None:
    for wanted in ("b", boundary):
        found = multipart.parse(body, wanted)
        for part in found.parts if found else ():
            assert body[part.offset : part.offset + part.size] == part.content


@pytest.mark.parametrize(
    ("disposition", "name", "filename"),
    [
        ('form-data; name="a"', "a", None),
        ("form-data; name=a; filename=b.txt", "a", "b.txt"),
        ('FORM-DATA; NAME="a"; FileName="x;y=z.txt"', "a", "x;y=z.txt"),
        (r'form-data; name="a\"b"; filename="c\\d\"e"', 'a"b', r"c\d\"e".replace('\\"', '"')),
        (r'form-data; name="a"; filename="C:\new\file.txt"', "a", r"C:\new\file.txt"),
        ('form-data; name="a%22b"; filename="100%25.txt"', 'a"b', "100%25.txt"),
        ('form-data; name="a"; filename="x"; filename*=UTF-8\'\'na%C3%AFve.txt', "a", "naïve.txt"),
        ('form-data; name="a"; filename="x"; filename*=rot13\'\'abc', "a", "x"),
        ('form-data; name="a"; filename="x"; filename*=UTF-8\'\'%ff', "a", "x"),
        ('form-data; name="é"; filename="日本.txt"', "é", "日本.txt"),
        ('form-data; name=""', "", None),
        ('form-data; name="first"; name="second"', "first", None),
        ('form-data; name="open', '"open', None),
        ("attachment", None, None),
    ],
)
def test_names_are_read_as_clients_write_them(disposition: str, name: str | None, filename: str | None) -> None:
    (part,) = parts(b"--b\r\nContent-Disposition: " + disposition.encode() + b"\r\n\r\nx\r\n--b--\r\n")
    assert (part.name, part.filename) == (name, filename)


@pytest.mark.parametrize(
    ("body", "contents", "complete"),
    [
        (b"--b\r\n\r\nx\r\n--b--", [b"x"], True),
        (b"preamble\r\n--b\r\n\r\nx\r\n--b--\r\nepilogue\r\n--b\r\n\r\ny", [b"x"], True),
        (b"--b \t\r\n\r\nx\r\n--b\t\r\n\r\ny\r\n--b--", [b"x", b"y"], True),
        (b"--b\n\nx\n--b\n\ny\n--b--\n", [b"x", b"y"], True),
        (b"--b\r\n\r\nx\n--b\n\r\n--b--", [b"x\n--b\n"], True),
        (b"--b\r\n\r\nx\r\n--bc\r\n--b--", [b"x\r\n--bc"], True),
        (b"--b\r\n\r\nx", [b"x"], False),
        (b"--b\r\n\r\nx\r\n--b", [b"x\r\n--b"], False),
        (b"--b\r\nA: 1\r\n\r\n--b--", [b""], True),
        (b"--b\r\nA: 1\r\n\r\n\r\n--b--", [b""], True),
        (b"--b\r\n--b\r\n--b--", [b"", b""], True),
        (b"--b\r\nno header\r\n--b--", [b"no header"], True),
        (b"--b\r\n\r\n\r\n\r\n--b--", [b"\r\n"], True),
    ],
)
def test_delimiters_by_rfc_2046(body: bytes, contents: list[bytes], complete: bool) -> None:
    found = multipart.parse(body, "b")
    assert found
    assert ([part.content for part in found.parts], found.complete) == (contents, complete)


@pytest.mark.parametrize("boundary", ["", "\r\n", "c", "b\nb", "b" * 500])
def test_no_first_delimiter_is_no_multipart(boundary: str) -> None:
    assert multipart.parse(b"--b\r\n\r\nx\r\n--b--", boundary) is None


def test_headers_keep_order_and_repetition_and_are_unfolded() -> None:
    (part,) = parts(b"--b\r\nX-B: 1\r\nx-a: 2\r\nX-B: 3\r\n folded\r\n\r\n\r\n--b--")
    assert part.headers == (("X-B", "1"), ("x-a", "2"), ("X-B", "3 folded"))


def test_a_million_parts_are_cut_and_say_so() -> None:
    body = b"--b\r\n\r\n\r\n" * 100_000
    found = multipart.parse(body, "b")
    assert isinstance(found, Multipart)
    assert (len(found.parts), found.complete) == (MAX_PARTS, False)


def test_the_api_lists_parts_with_their_text() -> None:
    body, content_type = posted(data={"note": "é"}, files={"file": ("a.bin", b"\0\xff", "application/x-thing")})
    note, file = body_fields(message(body, content_type))["parts"]
    assert (note["name"], note["filename"], note["text"], note["size"]) == ("note", None, "é", 2)
    assert (file["name"], file["filename"], file["text"], file["content_type"]) == (
        "file", "a.bin", None, "application/x-thing",
    )  # fmt: skip
    assert body[file["offset"] :][: file["size"]] == b"\0\xff"


def test_other_multiparts_have_parts_too() -> None:
    body = b"--b\r\nContent-Type: application/json\r\n\r\n{}\r\n--b--"
    (part,) = body_fields(message(body, 'Multipart/Related; boundary="b"'))["parts"]
    assert (part["name"], part["content_type"], part["text"]) == (None, "application/json", "{}")
