"""The operators' pages. Django looks here for them; each lives in a file of its own.

No page shows an inbox's token or a URL that holds its key, nor links to the owner's page. What an inbox has captured is
a permission of its own: who may see inboxes does not by that see what was sent to them.
"""

from instantlite.admin import dashboard as first_page
from webhooks import dashboard
from webhooks.admin_captures import CapturedRequestAdmin
from webhooks.admin_endpoints import EndpointAdmin
from webhooks.admin_forwarding import DeliveryAdmin, DestinationAdmin

__all__ = ["CapturedRequestAdmin", "DeliveryAdmin", "DestinationAdmin", "EndpointAdmin"]

first_page.register(dashboard.SECTION)
first_page.register(dashboard.FORWARDING)
