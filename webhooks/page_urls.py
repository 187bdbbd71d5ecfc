"""Paths of the page of an inbox. Unlike the API's they may redirect, and none ends in a slash."""

from django.urls import URLPattern, path

from webhooks import page_forms, page_stream, pages

_INBOX = "webhooks/<str:token>"
_REQUEST = f"{_INBOX}/<uuid:request_id>"

PAGES: list[URLPattern] = [
    path("webhooks/new", page_forms.start, name="inbox-new"),
    path(_INBOX, pages.inbox, name="inbox"),
    path(f"{_INBOX}/events", page_stream.live, name="inbox-events"),
    path(f"{_INBOX}/compare", pages.compared, name="inbox-compare"),
    path(f"{_INBOX}/settings", page_forms.settings_page, name="inbox-settings"),
    path(f"{_INBOX}/signature", page_forms.sign, name="inbox-signature"),
    path(f"{_INBOX}/name", page_forms.rename, name="inbox-name"),
    path(f"{_INBOX}/extend", page_forms.extend, name="inbox-extend"),
    path(f"{_INBOX}/clear", page_forms.clear, name="inbox-clear"),
    path(f"{_INBOX}/delete", page_forms.end, name="inbox-delete"),
    path(f"{_INBOX}/test", page_forms.send_test, name="inbox-test"),
    path(_REQUEST, pages.opened, name="inbox-request"),
    path(f"{_REQUEST}/picture", pages.picture, name="inbox-picture"),
    path(f"{_REQUEST}/delete", page_forms.delete_request, name="inbox-request-delete"),
]
