"""A header value and its parameters, as in `text/plain; charset=utf-8`: RFC 9110, section 5.6.6, read leniently."""

import re
from urllib.parse import unquote_to_bytes

from webhooks import charsets

# A part of a multipart body may claim a header of any length; nothing sensible is longer than this.
_LONGEST = 16_384

# Possessive quantifiers: what was read is never read again, so that no value takes more than one pass.
_PARAMETER = re.compile(r';\s*+([^\s=;"]++)\s*+=\s*+("(?:[^"\\]++|\\.)*+"|[^;]*+)', re.DOTALL)


def split(value: str) -> tuple[str, dict[str, str]]:
    """`Form-Data; Name="a"` -> (`form-data`, {`name`: `a`}). The first of two parameters with one name counts."""
    main, semicolon, rest = value[:_LONGEST].partition(";")
    found: dict[str, str] = {}
    for match in _PARAMETER.finditer(semicolon + rest):
        found.setdefault(match[1].lower(), _unquoted(match[2].strip()))
    return main.strip().lower(), found


def extended(value: str) -> str | None:
    """The text of an extended value (`UTF-8''na%C3%AFve.txt`, RFC 8187, section 3.2); None for one that is not."""
    charset, quote, rest = value.partition("'")
    _language, second, encoded = rest.partition("'")
    if not (quote and second):
        return None
    known = charsets.known(charset)
    return charsets.strict(unquote_to_bytes(encoded), known) if known else None


def _unquoted(value: str) -> str:
    """What a quoted string holds.

    Browsers and urllib3 write a quote and line ends as `%22`, `%0D` and `%0A` and leave backslashes as they are
    (WHATWG HTML, section 4.10.21.8), others escape the quote by a backslash (RFC 9110, section 5.6.4). A backslash
    counts as an escape only where a quote follows one somewhere: `"C:\\new"` is a path.
    """
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
        if '\\"' in value:
            value = re.sub(r"\\(.)", r"\1", value, flags=re.DOTALL)
    return value.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
