"""`manage.py housekeeping`: the loop as a process of its own, for `housekeeping.mode: worker`."""

import signal
from typing import Any

from django.core.management.base import BaseCommand

from instantlite.housekeeping import Housekeeper


class Command(BaseCommand):
    help = "Runs the housekeeping loop until SIGTERM or Ctrl-C. Any number may run at once."

    def handle(self, *args: Any, **options: Any) -> None:
        housekeeper = Housekeeper()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: housekeeper.stop())
        housekeeper.run()
