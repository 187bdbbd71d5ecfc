"""Endpoints, and the requests that each has captured."""

from webhooks.models.captures import CapturedRequest
from webhooks.models.endpoints import Endpoint

__all__ = ["CapturedRequest", "Endpoint"]
