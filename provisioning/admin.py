"""The operators' pages. Django looks here for them; each lives in a file of its own.

They show and they act, through the same verbs as the API. Nothing here shows a password, a token or a URL that holds
one: an operator's screen is no place for a tenant's secrets.
"""

from instantlite.admin import dashboard as first_page
from provisioning import dashboard
from provisioning.admin_caches import CacheAdmin
from provisioning.admin_clusters import ClusterAdmin
from provisioning.admin_databases import DatabaseAdmin
from provisioning.admin_users import OperatorAdmin, OperatorGroupAdmin

__all__ = ["CacheAdmin", "ClusterAdmin", "DatabaseAdmin", "OperatorAdmin", "OperatorGroupAdmin"]

first_page.register(dashboard.SECTION)
