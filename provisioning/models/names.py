"""Names on servers that others may use too: an installation's own start, then chance."""

import secrets as randomness

_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"


def random_word(length: int) -> str:
    """Lower-case letters and digits that cannot be mistaken for one another; 5 bits each."""
    return "".join(randomness.choice(_ALPHABET) for _ in range(length))


def word_of(value: bytes, length: int) -> str:
    """The same letters, chosen by `value`: at most one for each byte."""
    return "".join(_ALPHABET[byte % len(_ALPHABET)] for byte in value[:length])


def new_prefix() -> str:
    """The start of every name that one installation gives on one cluster, so that two never touch each other's."""
    return f"il_{random_word(5)}_"
