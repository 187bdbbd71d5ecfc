"""Endpoints, the requests that each has captured, and where those are sent on to."""

from webhooks.models.captures import CapturedRequest
from webhooks.models.deliveries import Attempt, Delivery, DeliveryState, Origin
from webhooks.models.destinations import Destination
from webhooks.models.endpoints import Endpoint

__all__ = ["Attempt", "CapturedRequest", "Delivery", "DeliveryState", "Destination", "Endpoint", "Origin"]
