"""What a URL may have been when it was signed, where the URL is part of what is signed."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from webhooks.message import Message
from webhooks.signatures.config import Config

Candidate = tuple[str, str]
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](?::[0-9]{1,5})?")
_MEND = "Give the sender the receive URL as it is shown here."


def tried(config: Config, message: Message, url: str) -> Iterator[Candidate]:
    """URLs that are not `url`, each once, with what to do if it fits; none for schemes that sign no URL."""
    signs_url = config.provider == "twilio" or (config.provider == "hmac" and "{url}" in config.hmac.signed)
    if not signs_url:
        return
    seen = {url}
    for made, says in _urls(message, url):
        if made not in seen:
            seen.add(made)
            yield made, says


def _urls(message: Message, url: str) -> Iterator[Candidate]:
    parts = urlsplit(url)
    other = "http" if parts.scheme == "https" else "https"
    host = message.first("Host").strip()
    switched = (
        f"It was signed for {other}://, and this server is reached by {parts.scheme}:// (app_url in its "
        f"configuration). {_MEND}"
    )
    yield parts._replace(scheme=other).geturl(), switched
    if _HOST.fullmatch(host) and host != parts.netloc:
        named = f"It was signed for the host {host[:100]}, and this server's is {parts.netloc} (app_url). {_MEND}"
        for scheme in (parts.scheme, other):
            yield parts._replace(scheme=scheme, netloc=host).geturl(), named
    slashed = parts.path[:-1] if parts.path.endswith("/") else f"{parts.path}/"
    ends = "without the slash at its end" if parts.path.endswith("/") else "with a slash at its end"
    yield parts._replace(path=slashed).geturl(), f"It was signed for the URL {ends}. {_MEND}"
    if parts.query:
        yield parts._replace(query="").geturl(), f"It was signed for the URL without its query. {_MEND}"
