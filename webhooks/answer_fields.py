"""stub"""

from collections.abc import Mapping
from typing import Any

from rest_framework import serializers

from instantlite.fields import NameField, StrictSerializer


class ChangeEndpoint(StrictSerializer):
    """The body of `PATCH /webhook/{token}`: what is given is set, what is left out stays."""

    name = NameField(required=False)
    response = serializers.DictField(required=False, allow_null=True)


def merged(current: Mapping[str, Any] | None, change: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return {**(current or {}), **change} if change else None
