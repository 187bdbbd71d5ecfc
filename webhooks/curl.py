"""A request as a command line for curl and a POSIX shell that sends it again, to the byte.

The command is pasted into a terminal by somebody who did not write the request. So what a terminal, a shell or curl
could take for more than text (control characters, line ends of other kinds, characters that cannot be seen, file
names after an `@`) is never there as itself.
"""

import re
import shlex
from base64 import b64encode

from webhooks import charsets
from webhooks.message import Message

# Linux takes no longer argument than 128 KiB (MAX_ARG_STRLEN).
_MAX_ARGUMENT = 100_000
# A longer line makes an interactive shell slow; then the base64 is a here-document of many.
_MAX_LINE = 4_000

# What belongs to one connection (RFC 9110, section 7.6.1), or is curl's own to say.
_OF_THE_CONNECTION = frozenset(
    ("connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade")
)
_LEFT_OUT = _OF_THE_CONNECTION | {"host", "content-length", "expect"}
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# Targets that curl sends as they are, once --globoff and --path-as-is are set.
_PLAIN_TARGET = re.compile(r"/[A-Za-z0-9._~:/?@!$&'()*+,;=%\[\]-]*")


def curl_command(message: Message, origin: str) -> str:
    """The command, over several lines. `origin`: where to, scheme and authority (`https://example.com:8000`).

    Headers keep their order, spelling and repetition. Those of the connection, Host, Content-Length and Expect are
    left to curl, and curl's own defaults are switched off where the request did not have them.
    """
    options = [*_method(message), *_target(message, origin), *_headers(message)]
    before, body, after = _body(message)
    return before + " \\\n  ".join(["curl " + options[0], *options[1:], *body]) + after


def _method(message: Message) -> list[str]:
    sends = _sends_body(message)
    options = ["--http1.0"] if message.version == "1.0" else []
    if message.method == "HEAD" and not sends:
        return [*options, "--head"]
    if message.method == "HEAD":
        # curl would wait for the body that Content-Length promises and HEAD never gets.
        return [*options, "--request HEAD", "--ignore-content-length", "--header 'Connection: close'"]
    implied = "POST" if sends else "GET"
    return options if message.method == implied else [*options, f"--request {_quoted(message.method)}"]


def _target(message: Message, origin: str) -> list[str]:
    target = message.target
    if not _PLAIN_TARGET.fullmatch(target):
        # `*`, an absolute form (RFC 9112, section 3.2), or a character that curl would encode, cut off or refuse.
        return [f"--request-target {_quoted(target)}", _quoted(origin + "/")]
    options = []
    if re.search(r"[\[\]{}]", target):
        options.append("--globoff")
    if re.search(r"/\.", message.path) or "%2e" in target.lower():
        options.append("--path-as-is")
    return [*options, shlex.quote(origin + target)]


def _headers(message: Message) -> list[str]:
    given = {name.lower() for name, _ in message.headers}
    defaults = ["Accept", "User-Agent"]
    if _sends_body(message):
        defaults.append("Content-Type")
    if len(message.body) > 1024:
        # curl would ask first, and wait.
        defaults.append("Expect")
    options = [f"--header '{name}:'" for name in defaults if name.lower() not in given or name == "Expect"]
    for name, value in message.headers:
        # No parser of HTTP lets such a line through; curl could not send it.
        if name.lower() in _LEFT_OUT or not _TOKEN.fullmatch(name) or re.search("[\r\n\0]", value):
            continue
        # A form feed or a vertical tab is a space to curl, and a header of spaces one to leave out.
        said = value.strip(" \t\v\f")
        options.append(f"--header {_quoted(f'{name}: {said}' if said else f'{name};')}")
    return options


def _sends_body(message: Message) -> bool:
    """An empty body counts where its length was said: a POST of nothing is not the same without."""
    return bool(message.body) or (message.method != "HEAD" and message.first("Content-Length").strip() == "0")


def _body(message: Message) -> tuple[str, list[str], str]:
    """What comes before the command, its options for the body, and what comes after it."""
    if not _sends_body(message):
        return "", [], ""
    text = charsets.strict(message.body, "utf-8")
    if text is not None and len(message.body) <= _MAX_ARGUMENT and _visible(text.replace("\n", "")):
        # Not --data-binary, which takes what follows an `@` for the name of a file.
        return "", [f"--data-raw {shlex.quote(text)}"], ""
    encoded = b64encode(message.body).decode("ascii")
    if len(encoded) <= _MAX_LINE:
        return f"printf %s {encoded} | base64 -d | ", ["--data-binary @-"], ""
    lines = "\n".join(encoded[start : start + 76] for start in range(0, len(encoded), 76))
    return "base64 -d <<'END' | ", ["--data-binary @-"], f"\n{lines}\nEND\n"


def _quoted(wire: str) -> str:
    """A line of the wire (Latin-1 as in Message) as one word of the shell: the same bytes in a UTF-8 terminal."""
    text = charsets.wire(wire)
    if _visible(text) and charsets.strict(wire.encode("latin-1", "replace"), "utf-8") is not None:
        return shlex.quote(text)
    # Octal escapes, the only ones that every printf has; an exclamation mark would be history between double quotes.
    escaped = re.sub(r"[^A-Za-z0-9 :;/.,=_]", lambda found: f"\\{ord(found[0]) & 0xFF:03o}", wire)
    return f"\"$(printf '{escaped}')\""


def _visible(text: str) -> bool:
    """Whether all of it can be seen: no controls, no direction marks, no zero widths, no spaces but the plain one."""
    return text.isprintable()
