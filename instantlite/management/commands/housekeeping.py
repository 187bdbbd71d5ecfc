"""`manage.py housekeeping`: the loops as a process of their own, for `housekeeping.mode: worker`."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand

from instantlite import housekeeping


class Command(BaseCommand):
    help = "Runs the housekeeping loop until SIGTERM or Ctrl-C. Any number may run at once."

    def handle(self, *args: Any, **options: Any) -> None:
        first, *others = housekeepers = housekeeping.lanes()

        def stop(*_: Any) -> None:
            for housekeeper in housekeepers:
                housekeeper.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        threads = [threading.Thread(target=other.run, name="housekeeping", daemon=True) for other in others]
        for thread in threads:
            thread.start()
        first.run()
        # What waits for a slow server is safe to kill; the process does not wait for it for ever.
        for thread in threads:
            thread.join(10)
