"""Admin as an operator sees it, in a browser. Nothing is asked of the ORM beside one, see browser.py."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page

from tests.service import Service


@dataclass(frozen=True)
class Operator:
    """A superuser on a running service."""

    service: Service
    name: str
    password: str = field(default_factory=lambda: secrets.token_hex(12))

    def __post_init__(self) -> None:
        make = "from django.contrib.auth.models import User; User.objects.create_superuser({!r}, '', {!r})"
        self.service.manage("shell", "-c", make.format(self.name, self.password))

    @contextmanager
    def signed_in(self, browser: Browser, width: int, height: int) -> Iterator[Page]:
        """A page that shows the dashboard, in a window of so many pixels."""
        context = browser.new_context(viewport={"width": width, "height": height})
        page = context.new_page()
        page.goto(f"{self.service.url}/admin/")
        page.fill("input[name=username]", self.name)
        page.fill("input[name=password]", self.password)
        page.click("button[type=submit]")
        yield page
        context.close()
