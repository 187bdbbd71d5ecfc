"""The ceiling of capturing: Django without any middleware, and one view that reads the body and answers the same JSON.

It stores nothing. What it costs is gunicorn, Django's handler, its resolver and its two objects.
"""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[], LOGGING_CONFIG=None)

# As long as the answer of a new inbox, and made only once: what the view does not do cannot slow it down.
_ANSWER = b'{"ok": true, "id": "019ab5f0-0000-7000-8000-000000000000"}'
# Without it gunicorn would send chunks, which costs it two more writes.
_LENGTH = str(len(_ANSWER))


def view(request: HttpRequest, key: str = "") -> HttpResponse:
    """Reads the body, whose length nobody asks for, and answers."""
    len(request.body)
    return HttpResponse(_ANSWER, content_type="application/json", headers={"Content-Length": _LENGTH})


urlpatterns = [path("webhook/receive/<str:key>", view), path("livez", view)]
application = get_wsgi_application()
