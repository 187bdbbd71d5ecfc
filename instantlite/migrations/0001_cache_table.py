"""The table of Django's database cache. Raw SQL, because createcachetable cannot make it UNLOGGED: a cache that a crash
of PostgreSQL empties is a cache, and without the log each write costs half."""

from django.db import migrations

_CREATE = """
CREATE UNLOGGED TABLE IF NOT EXISTS instantlite_cache (
    cache_key varchar(255) NOT NULL PRIMARY KEY,
    value text NOT NULL,
    expires timestamptz NOT NULL
);
CREATE INDEX IF NOT EXISTS instantlite_cache_expires ON instantlite_cache (expires);
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = []

    operations = [migrations.RunSQL(_CREATE, "DROP TABLE IF EXISTS instantlite_cache")]
