"""Captured requests made by hand, and what hypothesis may make of them."""

import json
import uuid
from typing import Any

from hypothesis import strategies as st

from webhooks import templating
from webhooks.facts import Facts
from webhooks.message import Message
from webhooks.templating import Context

# The UUIDv7 of RFC 9562, appendix A.6: 2022-02-22T19:22:22.000Z.
CAPTURE = uuid.UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f")


def sent(method: str = "POST", target: str = "/webhook/receive/key", body: bytes = b"", **headers: str) -> Message:
    """A request; `X_A="b"` is the header `X-A: b`."""
    pairs = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Message(method, target, "1.1", pairs, body)


def sent_json(document: Any) -> Message:
    return sent(body=json.dumps(document).encode(), Content_Type="application/json")


def rendered(text: str, message: Message, context: Context = Context.TEXT) -> str:
    return templating.parse(text, context).render(Facts(message, CAPTURE)).decode()


wire = st.text(st.characters(max_codepoint=255), max_size=60)
documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["a", "b"]) | st.text(), inner),
    max_leaves=10,
)
bodies = (
    st.binary(max_size=200)
    | st.builds(lambda document: json.dumps({"a": document}).encode(), documents)
    | st.builds(lambda text: b"a=" + text.encode("utf-8", "surrogatepass"), st.text())
)
messages = st.builds(
    Message,
    method=st.sampled_from(["GET", "POST", "HEAD", "OPTIONS", "PROPFIND"]) | wire,
    target=wire | st.builds("/webhook/receive/key?a={}".format, wire),
    version=st.just("1.1"),
    headers=st.lists(
        st.tuples(
            st.sampled_from(["Content-Type", "A", "Access-Control-Request-Method", "Access-Control-Request-Headers"]),
            wire | st.just("application/x-www-form-urlencoded"),
        ),
        max_size=4,
    ).map(tuple),
    body=bodies,
)

# An expression of each kind.
PLACES = [
    "request.method",
    "request.path",
    "request.query.a",
    "request.header.A",
    "request.form.a",
    "request.json",
    "request.json.a",
    "request.json.a[0].b",
    "request.body",
    "request.id",
    "request.received_at",
    "request.json.a | json",
    'request.json.a | default:"x" | upper',
    "request.body | base64",
    'request.body | hmac_sha256:"k" | base64',
]
