"""Paths of the page of an inbox. Unlike the API's they may redirect, and none ends in a slash."""

from django.urls import URLPattern, path

from webhooks import page_deliveries, page_destinations, page_forms, page_replay, page_stream, pages

_INBOX = "webhooks/<str:token>"
_REQUEST = f"{_INBOX}/<uuid:request_id>"
_DESTINATIONS = f"{_INBOX}/destinations"
_DESTINATION = f"{_DESTINATIONS}/<uuid:destination_id>"

_FORWARDING: list[URLPattern] = [
    path(_DESTINATIONS, page_destinations.listed, name="inbox-destinations"),
    path(f"{_DESTINATIONS}/retry", page_destinations.retry, name="inbox-destinations-retry"),
    path(_DESTINATION, page_destinations.edited, name="inbox-destination"),
    path(f"{_DESTINATION}/switch", page_destinations.switch, name="inbox-destination-switch"),
    path(f"{_DESTINATION}/retry", page_destinations.retry, name="inbox-destination-retry"),
    path(f"{_DESTINATION}/delete", page_destinations.delete, name="inbox-destination-delete"),
    path(f"{_INBOX}/proxy", page_destinations.proxy, name="inbox-proxy"),
    path(f"{_INBOX}/marks", page_deliveries.marks, name="inbox-marks"),
    path(f"{_INBOX}/replay", page_replay.many, name="inbox-replay"),
    path(f"{_INBOX}/deliveries/<uuid:delivery_id>/retry", page_deliveries.again, name="inbox-delivery-retry"),
    path(f"{_REQUEST}/deliveries", page_deliveries.panel, name="inbox-request-deliveries"),
    path(f"{_REQUEST}/replay", page_replay.one, name="inbox-request-replay"),
]

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
    *_FORWARDING,
]
