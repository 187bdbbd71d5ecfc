"""An HTTP request as it came over the wire: what capturing keeps, and everything that shows or sends it again reads."""

from dataclasses import dataclass
from functools import cached_property

Pair = tuple[str, str]


@dataclass(frozen=True)
class Message:
    """Text is the bytes of the wire as Latin-1, so that `text.encode("latin-1")` gives each back exactly.

    `target` is the request target as sent (RFC 9112, section 3.2), query included; `version` is "1.1" or "1.0";
    `headers` are field lines in their order, duplicates and the spelling of their names kept.
    """

    method: str
    target: str
    version: str
    headers: tuple[Pair, ...]
    body: bytes

    @property
    def path(self) -> str:
        """The target without its query, percent-encoding left as it is."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the first `?`; empty without one."""
        return self.target.partition("?")[2]

    def all(self, name: str) -> list[str]:
        """The values of each field line of this name (any spelling), in order."""
        wanted = name.lower()
        return [value for given, value in self.headers if given.lower() == wanted]

    def first(self, name: str) -> str:
        """The first value of this name; empty where there is none."""
        return next(iter(self.all(name)), "")

    @cached_property
    def content_type(self) -> str:
        """The media type without parameters, in lower case; empty where none was sent."""
        return self.first("Content-Type").partition(";")[0].strip().lower()
