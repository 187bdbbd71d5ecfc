"""Paths of webhook inboxes; those of the API answer with and without a trailing slash.

The receive URL is not among them: see middleware.py.
"""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
