"""A request's body as the API gives it: readable where it can be, exact always."""

from base64 import b64encode
from typing import Any

from webhooks import charsets
from webhooks.bodies import Body
from webhooks.message import Message
from webhooks.multipart import Part


def body_fields(message: Message) -> dict[str, Any]:
    """The fields of `GET …/requests/{id}` that are about the body, ready for JSON.

    Exactly one of `body` and `body_base64` is not null: `body.encode(charset)` or the decoded base64 are the bytes
    that came. `decoded` is there for a body with a Content-Encoding: what it holds, up to 8 MiB. `form` and `parts`
    are there for forms; `complete` is false where they, or `decoded`, are not all there is. `json_problem` says what
    is wrong with a body that should be JSON. The `offset` of a part counts in the content, which is the body itself
    unless there is a Content-Encoding.
    """
    body = Body(message)
    form, parts = body.form, body.parts
    complete = not body.content.problem and (form is None or form.complete) and (parts is None or parts.complete)
    return {
        "kind": body.kind,
        "size": len(message.body),
        **_text_or_base64("body", body.exact, message.body),
        "json_problem": body.json_problem,
        "form": [list(pair) for pair in form.fields] if form else None,
        "parts": [_part_fields(part) for part in parts.parts] if parts else None,
        "decoded": _decoded(body),
        "complete": complete,
    }


def _decoded(body: Body) -> dict[str, Any] | None:
    held = body.content
    if not held.codings:
        return None
    if held.data is body.message.body:
        return {"encodings": list(held.codings), "size": None, "text": None, "charset": None, "problem": held.problem}
    return {
        "encodings": list(held.codings),
        "size": len(held.data),
        "text": body.text.text if body.text else None,
        "charset": body.text.charset if body.text else None,
        "problem": held.problem or None,
    }


def _part_fields(part: Part) -> dict[str, Any]:
    text = charsets.decode(part.content, part.charset, textual=part.content_type.startswith("text/"))
    return {
        "name": part.name,
        "filename": part.filename,
        "content_type": part.content_type or None,
        "headers": [list(pair) for pair in part.headers],
        "size": part.size,
        "offset": part.offset,
        "text": text.text if text else None,
        "charset": text.charset if text else None,
    }


def _text_or_base64(name: str, text: charsets.Text | None, data: bytes) -> dict[str, str | None]:
    return {
        name: text.text if text else None,
        f"{name}_base64": None if text else b64encode(data).decode("ascii"),
        "charset": text.charset if text else None,
    }
