"""Databases (and caches): what is provisioned, and the steps that keep it so."""

from django.apps import AppConfig

from instantlite import housekeeping


class ProvisioningConfig(AppConfig):
    name = "provisioning"
    verbose_name = "Provisioning"

    def ready(self) -> None:
        from provisioning import steps  # noqa: PLC0415 — models may be imported only once the app registry is ready

        housekeeping.register(*steps.STEPS)
