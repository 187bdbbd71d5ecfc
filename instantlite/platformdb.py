"""The service's own database, beyond what Django's ORM says."""

import psycopg
from django.conf import settings
from django.db import connection
from psycopg.conninfo import make_conninfo

# A server that is gone without a word (its machine, or the way to it) is noticed within about ten seconds, be it an
# answer or notifications that we wait for. By its own settings Linux would wait for hours.
_NOTICE = {"keepalives_idle": 4, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}


def let_go_of_connection() -> None:
    """Gives this thread's connection back to the pool before a wait on something else.

    A process has a handful of them. Fifty callers that wait for a build must not hold what the builder needs.
    """
    if not connection.in_atomic_block:
        connection.close()


def connect(name: str = "instantlite listener", options: str = "") -> psycopg.Connection[tuple[object, ...]]:
    """A connection of one's own, outside the pool: autocommit, its user closes it.

    `name` is what pg_stat_activity shows, `options` are settings of its session (`-c name=value`). Raises
    psycopg.Error.
    """
    # By the name that Django uses: a test run has a database of its own on the same server.
    address = make_conninfo(settings.PLATFORM_URL, dbname=connection.settings_dict["NAME"], **_NOTICE)
    return psycopg.connect(address, autocommit=True, application_name=name, options=options, connect_timeout=3)
