"""How admin says a state, a time and a size."""

from datetime import datetime
from functools import cache

from django.contrib.humanize.templatetags.humanize import naturaltime
from django.template.defaultfilters import filesizeformat
from django.template.loader import render_to_string
from django.utils.html import format_html
from django.utils.safestring import SafeString

NOTHING = "–"  # noqa: RUF001 — a dash for an empty cell, as wide as a digit

# Which of unfold's colours says what.
STATE_COLOURS = {
    "active": "success",
    "ready": "info",
    "building": "primary",
    "dropping": "warning",
    "accepting": "success",
    "draining": "warning",
}


def badge(text: str, colour: str = "", *, hover: str = "") -> SafeString:
    """A coloured label. `colour` is a variant of unfold's labels; none of them is grey."""
    context = {"text": text, "variant": colour, "label_title": hover}
    return render_to_string("unfold/helpers/label.html", context)


@cache
def state_badge(state: str) -> SafeString:
    """The badge of a database's or a cluster's state."""
    return badge(state, STATE_COLOURS.get(state, ""))


def moment(when: datetime | None) -> str:
    """How far away a time is; the exact time in UTC shows when the pointer rests on it."""
    if when is None:
        return NOTHING
    exact = f"{when:%Y-%m-%d %H:%M:%S} UTC"
    # naturaltime() joins its two units with a no-break space each; a narrow column has to be able to break.
    relative = str(naturaltime(when)).replace("\xa0", " ")
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), exact, relative)


def size(in_bytes: int | None) -> str:
    """Bytes in the unit that fits; nothing for a size that nobody has asked for yet."""
    return NOTHING if in_bytes is None else str(filesizeformat(in_bytes)).replace("\xa0", " ")


def mono(text: str) -> SafeString:
    """Text of somebody else's, in letters of one width, broken wherever a line ends."""
    return format_html('<span class="font-mono" style="overflow-wrap: anywhere">{}</span>', text)


def block(text: str, *, wrap: bool = True) -> SafeString:
    """Lines of text as they are, a stranger's too; longer ones are broken, or scrolled to where columns matter."""
    broken = "white-space: pre-wrap; overflow-wrap: anywhere"
    # Of no width of its own, so that it scrolls and not the page.
    scrolled = "white-space: pre; overflow-x: auto; width: 0; min-width: 100%"
    # unfold's stylesheet has only the classes that unfold uses.
    return format_html(
        '<pre class="font-mono text-sm" dir="auto" style="{}">{}</pre>', broken if wrap else scrolled, text
    )
