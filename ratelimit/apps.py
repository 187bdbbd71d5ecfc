"""How often anybody may ask: limits, who is asking, and the stores that keep count."""

from django.apps import AppConfig

from instantlite import housekeeping
from ratelimit import steps


class RateLimitConfig(AppConfig):
    name = "ratelimit"
    verbose_name = "Rate limits"

    def ready(self) -> None:
        housekeeping.register(*steps.STEPS)
