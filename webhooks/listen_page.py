"""`GET /listen.py`: the client by which a laptop listens to an inbox, one file that knows where it came from."""

import hashlib
import json
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import condition, require_safe

FILE = Path(__file__).parent / "listen_client" / "listen.py"
# The line of the file that we fill in; JSON's form of a text is Python's too.
_PLACE = 'SERVER = ""\n'


@cache
def source(app_url: str) -> bytes:
    """The file, for this address of ours."""
    return FILE.read_text("utf-8").replace(_PLACE, f"SERVER = {json.dumps(app_url)}\n", 1).encode()


def _tag(request: HttpRequest) -> str:
    return f'"{hashlib.sha256(source(_app_url())).hexdigest()[:32]}"'


def _app_url() -> str:
    url: str = settings.INSTANTLITE.server.app_url
    return url


# Reads only: a POST is told that the method is wrong, not that a form was out of date.
@csrf_exempt
@require_safe
@condition(etag_func=_tag)
def listen(request: HttpRequest) -> HttpResponse:
    """For `curl -s …/listen.py | python3 - <inbox>`. A cache may keep it, and asks whether it is still the same."""
    return HttpResponse(
        source(_app_url()), content_type="text/x-python; charset=utf-8", headers={"Cache-Control": "public, no-cache"}
    )
