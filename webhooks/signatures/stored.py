"""A configuration as it is kept in a column: everything readable but the secret, which is sealed for its owner.

`{"provider": "stripe", "sealed": "s1.…"}`, and for "hmac" the options beside it.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from instantlite import sealing
from webhooks.signatures.config import Config, HmacOptions

_PURPOSE = "signature"
# What stands where a secret would: it is set, and never shown.
SECRET_SHOWN = "set"  # noqa: S105 — the word


class SecretNeeded(Exception):
    """There is no secret yet, or none for this provider."""


def store(owner_id: UUID, wanted: Mapping[str, Any], current: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What to keep of `wanted`, as SignatureField gave it. `owner_id`: of the endpoint or destination that keeps it.

    Without a secret the one of `current` stays, where the provider is the same; else raises SecretNeeded.
    """
    provider = wanted["provider"]
    kept = {name: value for name, value in wanted.items() if name not in ("provider", "secret")}
    if wanted.get("secret"):
        sealed = sealing.seal(_PURPOSE, owner_id, wanted["secret"])
    elif current and current["provider"] == provider:
        sealed = current["sealed"]
    else:
        raise SecretNeeded
    return {"provider": provider, **kept, "sealed": sealed}


def opened(owner_id: UUID, stored: Mapping[str, Any]) -> Config:
    """The configuration with its secret. Raises Unsealable."""
    secret = sealing.unseal(_PURPOSE, owner_id, stored["sealed"])
    return Config(stored["provider"], secret, _options(stored))


def shown(stored: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What anybody may be shown who may see the owner: all but the secret, in whose place stands SECRET_SHOWN."""
    if stored is None:
        return None
    options = asdict(_options(stored)) if stored["provider"] == "hmac" else {}
    return {"provider": stored["provider"], "secret": SECRET_SHOWN, **options}


def _options(stored: Mapping[str, Any]) -> HmacOptions:
    return HmacOptions(**{name: stored[name] for name in HmacOptions.__dataclass_fields__ if name in stored})
