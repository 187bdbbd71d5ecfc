"""Leases of processes that are dead: nobody comes back to them, and no test waits for the minute that they last."""

import psycopg
from psycopg.sql import SQL, Identifier

from tests.service import Service


def end_leases(service: Service, table: str) -> None:
    """What the killed processes of a service were at is due now, as it is later by itself."""
    with psycopg.connect(service.urls.platform) as platform:
        platform.execute(SQL("UPDATE {} SET lease_until = now() WHERE lease_until > now()").format(Identifier(table)))
