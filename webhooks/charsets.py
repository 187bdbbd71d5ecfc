"""Bytes to text, when the name of the charset comes from a stranger."""

import re
from encodings.aliases import aliases
from typing import NamedTuple

# Only these are looked up. Python's own lookup would import a module by the stranger's word, keep every name it was
# ever asked for, and offer codecs that are no charset (rot13, zip, idna, unicode_escape).
_LIST = """
    utf_8 ascii latin_1 utf_16_le utf_16_be utf_32_le utf_32_be gb2312 gbk gb18030 hz big5 big5hkscs shift_jis cp932
    euc_jp iso2022_jp euc_kr cp949 johab koi8_r koi8_u mac_roman mac_cyrillic tis_620 ptcp154
    iso8859_2 iso8859_3 iso8859_4 iso8859_5 iso8859_6 iso8859_7 iso8859_8 iso8859_9 iso8859_10 iso8859_11 iso8859_13
    iso8859_14 iso8859_15 iso8859_16 cp1250 cp1251 cp1252 cp1253 cp1254 cp1255 cp1256 cp1257 cp1258 cp437 cp737 cp775
    cp850 cp852 cp855 cp857 cp858 cp860 cp861 cp862 cp863 cp864 cp865 cp866 cp869 cp874
"""
_KNOWN = frozenset(_LIST.split())

# Names for people, where Python's spelling is not the registered one.
_NAMES = {"latin_1": "iso-8859-1", "ascii": "us-ascii", "iso2022_jp": "iso-2022-jp", "mac_roman": "macintosh"}

_MARKS = (
    (b"\xef\xbb\xbf", "utf_8"),
    (b"\xff\xfe\x00\x00", "utf_32_le"),
    (b"\x00\x00\xfe\xff", "utf_32_be"),
    (b"\xff\xfe", "utf_16_le"),
    (b"\xfe\xff", "utf_16_be"),
)

# Controls that text does not have: all of C0 without tab, line ends, form feed and escape (terminals' colours).
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


class Text(NamedTuple):
    """`text.encode(charset)` gives the bytes back exactly; a byte order mark stays in `text` as U+FEFF."""

    text: str
    charset: str

    @property
    def shown(self) -> str:
        """Without the byte order mark."""
        return self.text.removeprefix("\ufeff")


def known(name: str) -> str | None:
    """Python's name for a charset that we decode; None for any other."""
    wanted = re.sub(r"[^a-z0-9]+", "_", name[:40].lower()).strip("_")
    if wanted in ("utf_16", "utf_32"):
        return f"{wanted}_le"
    found = aliases.get(wanted, wanted)
    return found if found in _KNOWN else None


def strict(data: bytes, charset: str) -> str | None:
    """The text, if every byte of it comes back when it is encoded again."""
    try:
        text = data.decode(charset)
        return text if text.encode(charset) == data else None
    except ValueError:
        return None


def decode(data: bytes, charset: str, textual: bool) -> Text | None:
    """The text of `data`; None for what is no text, or would not come back exactly.

    A byte order mark decides, then `charset` (as sent; empty or unknown counts as none), then UTF-8. `textual`: the
    sender said it is text. Where nobody did, text is what has no control characters.
    """
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    declared = _utf16_order(data, known(charset))
    for candidate in dict.fromkeys(filter(None, (marked, declared, "utf_8"))):
        text = strict(data, candidate)
        if text is not None and (textual or not _CONTROLS.search(text)):
            return Text(text, _NAMES.get(candidate, candidate.replace("_", "-")))
    return None


def _utf16_order(data: bytes, charset: str | None) -> str | None:
    """UTF-16 without a mark starts with an ASCII character nearly always, so its zero byte tells the order."""
    return "utf_16_be" if charset == "utf_16_le" and data[:1] == b"\0" else charset


def wire(text: str) -> str:
    """A line of the wire (Latin-1 as in Message) as people read it: UTF-8 where it is that, Latin-1 otherwise."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except ValueError:
        return text
