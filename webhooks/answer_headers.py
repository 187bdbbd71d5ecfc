"""Which headers an endpoint's owner may put on an answer, and where it may redirect.

Owners and senders are strangers, and the answer comes from the origin that the API and the admin live on. So what acts
beyond the one answer is refused: fields that frame the message or that a proxy takes for orders, and fields by which
a browser changes what it does with the whole origin. The rest is free: a test needs odd headers.
"""

import re

# RFC 9110, section 5.6.2.
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# A field value without control characters but tab (RFC 9110, section 5.5), as Latin-1.
VALUE = re.compile(r"[\t -~\x80-\xff]*")
# An absolute http(s) URL with a host of its own: no user information, no backslash, ASCII only (RFC 3986).
_LOCATION = re.compile(r"https?://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?([/?#][!-~]*)?", re.IGNORECASE)


def names(*lines: str) -> frozenset[str]:
    """The words of the lines."""
    return frozenset(name for line in lines for name in line.split())


_FRAMING = names(
    "connection content-encoding content-length date http2-settings keep-alive ratelimit ratelimit-policy server",
    "status te trailer trailers transfer-encoding upgrade x-request-id",
)
_ORIGIN = names(
    "accept-ch accept-ch-lifetime activate-storage-access alt-svc authentication-info clear-site-data critical-ch",
    "delegate-ch expect-ct integrity-policy integrity-policy-report-only nel origin-agent-cluster origin-trial",
    "permissions-policy public-key-pins public-key-pins-report-only referrer-policy refresh report-to",
    "reporting-endpoints service-worker-allowed service-worker-navigation-preload set-cookie set-cookie2 set-login",
    "sourcemap speculation-rules strict-transport-security supports-loading-mode use-as-dictionary www-authenticate",
    "x-content-type-options x-frame-options x-sourcemap x-xss-protection",
)
_ORIGIN_FAMILIES = (
    "attribution-reporting-",
    "content-security-policy",
    "cross-origin-",
    "document-policy",
    "federated-auth-",
    "proxy-auth",
    "sec-",
    "secure-session-",
)
_PROXY = names("cache-tag edge-control x-lighttpd-send-file x-sendfile x-sendfile2")
_PROXY_FAMILIES = ("cdn-", "cf-", "proxy-", "surrogate-", "x-accel-", "x-litespeed-", "x-reproxy-", "x-varnish-")
CORS_FAMILY = "access-control-"

# What a browser would run, or lay out a page with, if a page of our origin named the URL: the JavaScript types of the
# MIME Sniffing standard (section 4.6), style sheets, and the type whose parts bring headers of their own.
RUN_BY_BROWSERS = names(
    "application/ecmascript application/javascript application/x-ecmascript application/x-javascript",
    "text/ecmascript text/javascript text/javascript1.0 text/javascript1.1 text/javascript1.2 text/javascript1.3",
    "text/javascript1.4 text/javascript1.5 text/jscript text/livescript text/x-ecmascript text/x-javascript",
    "text/css multipart/x-mixed-replace",
)


def refusal(name: str) -> str | None:
    """Why the field of this name is not an owner's to set; None for one that is.

    `WWW-Authenticate` is refused because a browser's password prompt would show our origin and send the password into
    the inbox; `NEL`, `Report-To`, `Alt-Svc` and the like because their effect is on the origin. An underscore counts
    as a hyphen: to some proxies it is one.
    """
    plain = name.lower().replace("_", "-")
    if plain == "content-type":
        return "is set by content_type; put it there."
    if plain in _FRAMING:
        return "is set by the server; leave it out."
    if plain in _ORIGIN or plain.startswith(_ORIGIN_FAMILIES):
        return "could change what browsers do with this server's own pages; leave it out."
    if plain in _PROXY or plain.startswith(_PROXY_FAMILIES):
        return "is an order to a proxy in front of this server; leave it out."
    return None


def is_cors(name: str) -> bool:
    """Whether the field belongs to the CORS protocol (Fetch standard, section 3.3)."""
    return name.lower().replace("_", "-").startswith(CORS_FAMILY)


def good_location(value: str) -> bool:
    """Whether the value may be a Location: absolute, http or https, its host spelt out in front of any placeholder.

    An owner may redirect anywhere: a webhook sender's handling of redirects (to private addresses too) is a thing to
    test, and what a link shortener offers is no new danger. A visitor may not choose: a placeholder can fill in the
    path, the query or the fragment, where values are percent-encoded, never the scheme or the host.
    """
    literal, placeholder, _ = value.partition("{{")
    found = _LOCATION.fullmatch(literal)
    return found is not None and (found[1] is not None or not placeholder)
