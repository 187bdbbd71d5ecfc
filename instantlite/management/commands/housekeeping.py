"""`manage.py housekeeping`: the loops as a process of their own, for `housekeeping.mode: worker`."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from instantlite import housekeeping


class Command(BaseCommand):
    help = "Runs the housekeeping loop until SIGTERM or Ctrl-C. Any number may run at once."

    def handle(self, *args: Any, **options: Any) -> None:
        running = housekeeping.Running()
        asked = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: asked.set())
        asked.wait()
        # What waits for a slow server is safe to kill; the process does not wait for it for ever.
        running.join(10, everything=True)
