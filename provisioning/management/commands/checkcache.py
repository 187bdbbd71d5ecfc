"""`manage.py checkcache`: what the tenants' Redis lacks, and the commands that mend it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from provisioning import cache_checks, redis


class Command(BaseCommand):
    help = "Says in plain words what the tenants' Redis lacks, and prints what mends it. Exit status 1 if anything."

    def handle(self, *args: Any, **options: Any) -> None:
        if not redis.configured():
            raise CommandError("no Redis in the configuration: set REDIS_URL, or CUSTOMER_REDIS_URL for tenants' own")
        findings = []
        for finding in cache_checks.check():
            findings.append(finding)
            self.stdout.write(f"  {'ok   ' if finding.good else 'LACKS'} {finding.says}")
        mends = [finding.sql for finding in findings if finding.sql and not finding.good]
        if mends:
            self.stdout.write(
                "\n# in redis-cli, as an administrator; CONFIG REWRITE keeps it:\n" + "\n".join(mends) + "\n"
            )
        if not all(finding.good for finding in findings):
            raise CommandError("something is missing; run the commands above, then check again")
