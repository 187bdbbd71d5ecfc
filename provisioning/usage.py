"""What databases use now. (Quotas hold tenants to their limits; this only looks.)"""

import psycopg

from provisioning import connections, postgres
from provisioning.models import Database
from provisioning.postgres import Usage


def measure(database: Database) -> Usage | None:
    """Size and sessions, asked of the cluster there and then; None while it does not answer."""
    try:
        return postgres.usage(connections.to(database.cluster_id), database.db_name)
    except connections.ClusterDown as error:
        database.note_down(str(error))
    except psycopg.Error:  # dropped under our eyes
        pass
    return None
