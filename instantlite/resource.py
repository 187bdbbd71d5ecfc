"""What every resource that we hand out has in common: an owner, a token, and a time to live.

The one place that knows what a time to live means. Time is always the database's: instances' clocks may differ.
"""

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Least, Now

from instantlite import keys
from instantlite.names import friendly_name
from instantlite.uuid7 import uuid7


class State(models.TextChoices):
    """Where a resource is in its life. Building, ready and dropping are ours; a caller sees active or gone."""

    BUILDING = "building"
    READY = "ready"
    ACTIVE = "active"
    DROPPING = "dropping"
    GONE = "gone"


class Gone(Exception):
    """The resource has expired or was deleted."""


class LifetimeReached(Exception):
    """The resource already lives for as long as the configuration allows."""


@dataclass(frozen=True)
class Wish:
    """What a caller asks for, checked. `name` None: make one up; `ttl` None: the default."""

    fingerprint: str
    name: str | None = None
    ttl: timedelta | None = None
    idempotency_key: str | None = None
    # Scopes the idempotency key: the caller's exact address, which is used in a MAC and never stored.
    client: str = ""
    chosen_name: str = field(default_factory=friendly_name)

    @property
    def idempotency_mac(self) -> bytes | None:
        """What is stored of the key: useless to whoever reads it, the same for the same client and key."""
        if self.idempotency_key is None:
            return None
        return keys.derive("idempotency", self.client, self.idempotency_key)

    @property
    def digest(self) -> bytes:
        """32 bytes that tell whether two requests with one key asked for the same thing."""
        asked = [self.name, self.ttl.total_seconds() if self.ttl else None]
        return hashlib.sha256(json.dumps(asked).encode()).digest()

    @property
    def lifetime(self) -> timedelta:
        return self.ttl or settings.INSTANTLITE.limits.default_ttl


Resource = TypeVar("Resource", bound="EphemeralResource")


class EphemeralQuerySet(models.QuerySet[Resource]):
    """Verbs that every kind of resource shares."""

    def active(self) -> Self:
        """In somebody's hands and not past its expiry."""
        return self.filter(state=State.ACTIVE, expires_at__gt=Now())

    def by_token(self, token: str) -> Resource | None:
        """The resource of a token, annotated `is_active`; None for a token that is not ours."""
        resource_id = keys.resource_id_of(self.model.kind, token)
        if resource_id is None:
            return None
        alive = Q(state=State.ACTIVE, expires_at__gt=Now())
        handed_out = self.exclude(created_at=None).filter(pk=resource_id)
        found = handed_out.annotate(
            is_active=models.ExpressionWrapper(alive, output_field=models.BooleanField())
        ).first()
        return cast("Resource | None", found)

    def owned(self, token: str) -> Resource | None:
        """The active resource of a token; None when there never was one. Raises Gone."""
        found = self.by_token(token)
        if found is not None and not found.is_active:
            raise Gone
        return found

    def by_idempotency(self, wish: Wish) -> Resource | None:
        """The resource that this client made with this key; None for a wish without one, never somebody else's."""
        if wish.idempotency_key is None:
            return None
        return self.filter(idempotency_mac=wish.idempotency_mac).first()

    def is_repeated(self, wish: Wish) -> bool:
        """Whether this client was given something for this key already, so that it will be given nothing new."""
        if wish.idempotency_key is None:
            return False
        edge = Now() - settings.IDEMPOTENCY_WINDOW
        return self.filter(idempotency_mac=wish.idempotency_mac, created_at__gt=edge).exists()

    def forget_stale_key(self, wish: Wish) -> int:
        """Frees the key of a resource that is older than the idempotency window. Returns how many it freed."""
        if wish.idempotency_key is None:
            return 0
        edge = Now() - settings.IDEMPOTENCY_WINDOW
        return self.filter(idempotency_mac=wish.idempotency_mac, created_at__lte=edge).update(idempotency_mac=None)

    def extend(self, resource_id: uuid.UUID, ttl: timedelta, longest: timedelta, **also: Any) -> int:
        """Moves the expiry of an active resource by `ttl`, never past `longest` from its creation.

        `also` are further columns to set with it. Returns 0 where nothing moves: expired, or at its longest already.
        """
        return (
            self.active()
            .filter(pk=resource_id, expires_at__lt=F("created_at") + longest)
            .update(expires_at=Least(F("expires_at") + ttl, F("created_at") + longest), **also)
        )


class EphemeralResource(models.Model):
    """A thing with an owner and an expiry. `created_at` is when its owner got it, not when it was built."""

    kind: ClassVar[str]
    if TYPE_CHECKING:
        is_active: bool  # as by_token() found it, by the database's clock

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    name = models.CharField(max_length=120, blank=True)
    fingerprint = models.CharField("owner", max_length=64, blank=True, editable=False)
    state = models.CharField(max_length=10, choices=State.choices, editable=False)
    created_at = models.DateTimeField(null=True, editable=False)
    expires_at = models.DateTimeField(null=True, editable=False)
    gone_at = models.DateTimeField(null=True, editable=False)
    granted_ttl = models.DurationField(null=True, editable=False)
    idempotency_mac = models.BinaryField(max_length=32, null=True, unique=True, editable=False)
    request_digest = models.BinaryField(max_length=32, null=True, editable=False)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name or str(self.id)

    @property
    def token(self) -> str:
        """The secret that proves ownership; see keys.token_for()."""
        return keys.token_for(self.kind, self.id)

    def asked_by(self, wish: Wish) -> bool:
        """Whether the request that made this resource asked for the same as `wish` does."""
        return bytes(self.request_digest or b"") == wish.digest
