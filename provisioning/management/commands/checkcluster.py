"""`manage.py checkcluster [name]`: what a cluster lacks, and the SQL that mends it."""

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from provisioning import checks


class Command(BaseCommand):
    help = "Says in plain words what a cluster lacks, and prints the SQL that mends it. Exit status 1 if anything."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", nargs="?", help="a cluster of the configuration; without it: all of them")

    def handle(self, *args: Any, **options: Any) -> None:
        names = [options["name"]] if options["name"] else list(settings.CLUSTERS)
        unknown = [name for name in names if name not in settings.CLUSTERS]
        if unknown or not names:
            known = ", ".join(settings.CLUSTERS) or "none: set CUSTOMER_DATABASE_URL, or start the embedded server"
            raise CommandError(f"no such cluster in the configuration (there are: {known})")
        good = [self._report(name) for name in names]
        if not all(good):
            raise CommandError("something is missing; run the SQL above as an administrator, then check again")

    def _report(self, name: str) -> bool:
        """Prints one cluster's findings. Whether all are good."""
        self.stdout.write(f"cluster {name}")
        findings = []
        for finding in checks.check(name):
            findings.append(finding)
            self.stdout.write(f"  {'ok   ' if finding.good else 'LACKS'} {finding.says}")
        mends = [finding.sql for finding in findings if finding.sql and not finding.good]
        if mends:
            self.stdout.write("\n-- as an administrator, in any database of the cluster:\n" + "\n".join(mends) + "\n")
        return all(finding.good for finding in findings)
