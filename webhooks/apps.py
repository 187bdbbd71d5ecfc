"""Webhook inboxes: an address that takes any request, and whoever holds its token sees each as it came."""

from django.apps import AppConfig

from instantlite import housekeeping, shutdown


class WebhooksConfig(AppConfig):
    name = "webhooks"
    verbose_name = "Webhooks"

    def ready(self) -> None:
        from webhooks import courier, steps, stream  # noqa: PLC0415 — models may be imported only once the app registry is ready

        housekeeping.register(*steps.STEPS)
        housekeeping.register_loop(courier.Courier)
        shutdown.register(stream.hub.end)
