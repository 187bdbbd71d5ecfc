"""A real browser for the tests of the pages."""

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")
# Nothing of its own over the network, and no sandbox: it opens our pages only, as root in containers too.
_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
]


def missing_browser() -> str | None:
    """Why no page can be tested here; None when a browser is installed."""
    found = any(shutil.which(name) for name in _NAMES)
    return None if found else f"no browser is installed (looked for {', '.join(_NAMES)})"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Headless Chromium. Where there is none the test is skipped, and fails where CI=true.

    For a module, not for the session: Playwright's event loop counts as running in this thread until it is closed,
    and Django's ORM refuses to work beside one. Whoever shares a module with it leaves the ORM to manage.py.
    """
    reason = missing_browser()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    with sync_playwright() as playwright:
        chromium = launched(playwright)
        yield chromium
        chromium.close()


def launched(playwright: Playwright) -> Browser:
    """A browser that is installed, without a window."""
    program = next(path for path in map(shutil.which, _NAMES) if path)
    return playwright.chromium.launch(executable_path=program, args=_OPTIONS)
