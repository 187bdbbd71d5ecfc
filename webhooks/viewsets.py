"""What the API's views of inboxes share."""

from typing import ClassVar

from instantlite.resource import EphemeralQuerySet
from instantlite.resource_api import ResourceViewSet
from webhooks.models import Endpoint


class InboxViewSet(ResourceViewSet[Endpoint]):
    """An inbox, in the hands of whoever holds its token. Its views give JSON alone, unless they say otherwise."""

    env_variable = "WEBHOOK_URL"
    noun = "webhook inbox"
    new_path = "/webhook/new"
    with_url: ClassVar[frozenset[str]] = frozenset()

    def rows(self) -> EphemeralQuerySet[Endpoint]:
        return Endpoint.objects.all()
