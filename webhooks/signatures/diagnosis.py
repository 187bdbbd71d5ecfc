"""Why a signature does not verify: short stable codes, and sentences that say what to do."""

from dataclasses import dataclass
from typing import Final

# In the order of docs/signatures.md.
HEADER_MISSING: Final = "header_missing"
HEADER_MALFORMED: Final = "header_malformed"
TIMESTAMP_TOO_OLD: Final = "timestamp_too_old"
TIMESTAMP_IN_FUTURE: Final = "timestamp_in_future"
WRONG_SECRET: Final = "wrong_secret"  # noqa: S105 — a code
WRONG_URL: Final = "wrong_url"
BODY_REENCODED: Final = "body_reencoded"
BODY_ALTERED: Final = "body_altered"
SIGNATURE_MISMATCH: Final = "signature_mismatch"
SECRET_UNREADABLE: Final = "secret_unreadable"  # noqa: S105 — a code
BODY_NOT_KEPT: Final = "body_not_kept"
NOT_CHECKED: Final = "not_checked"

CODES: Final = (
    HEADER_MISSING,
    HEADER_MALFORMED,
    TIMESTAMP_TOO_OLD,
    TIMESTAMP_IN_FUTURE,
    WRONG_SECRET,
    WRONG_URL,
    BODY_REENCODED,
    BODY_ALTERED,
    SIGNATURE_MISMATCH,
    SECRET_UNREADABLE,
    BODY_NOT_KEPT,
    NOT_CHECKED,
)


@dataclass(frozen=True)
class Diagnosis:
    """`code` is for programs and does not change; `message` is for people and may."""

    code: str
    message: str


@dataclass(frozen=True)
class Verification:
    """`verified` None: nobody has checked, see the diagnosis."""

    verified: bool | None
    diagnosis: Diagnosis | None = None


class Refused(Exception):
    """What a request says of its signature cannot be checked at all."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.diagnosis = Diagnosis(code, message)


class Work:
    """How much the search for a mistake may still cost, in bytes hashed. One may be shared by a page of requests.

    `thorough`: whether two mistakes at once are looked for.
    """

    def __init__(self, left: int, *, thorough: bool = True) -> None:
        self.left = left
        self.spent = 0
        self.thorough = thorough
        self.refused = False

    def spend(self, size: int) -> bool:
        """Whether so much was left; then it is taken."""
        if size > self.left:
            self.refused = True
            return False
        self.left -= size
        self.spent += size
        return True
