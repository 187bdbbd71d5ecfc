"""Every provider, and whose signature a request seems to carry."""

from webhooks.message import Message
from webhooks.signatures.config import Provider
from webhooks.signatures.generic import Generic
from webhooks.signatures.github import GitHub
from webhooks.signatures.scheme import Scheme
from webhooks.signatures.shopify import Shopify
from webhooks.signatures.slack import Slack
from webhooks.signatures.standard import Standard
from webhooks.signatures.stripe import Stripe
from webhooks.signatures.twilio import Twilio

SCHEMES: dict[Provider, Scheme] = {
    "standard-webhooks": Standard(),
    "stripe": Stripe(),
    "github": GitHub(),
    "slack": Slack(),
    "shopify": Shopify(),
    "twilio": Twilio(),
    "hmac": Generic(),
}


def signers(message: Message) -> list[tuple[Provider, str]]:
    """The providers whose signature header a request has, and which header that is."""
    return [
        (provider, header) for provider, scheme in SCHEMES.items() for header in scheme.headers if message.all(header)
    ]
