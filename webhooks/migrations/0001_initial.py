"""Endpoints, captured requests, and the function that takes in a batch of them.

Raw SQL: Django knows no partitions, no functions and no storage parameters.

- webhooks_capturedrequest is partitioned by range on its UUIDv7 key, a UTC day to a partition, so that order by id is
  order by time and what is over goes by dropping a table. No DEFAULT partition: it would have to be scanned for each
  new one. Bodies are not compressed, which costs less time and lets a part of one be read without the rest.
- webhooks_make_partition(day) makes a day's partition beside the parent and then attaches it: unlike CREATE TABLE …
  PARTITION OF, that takes no lock which readers or writers would wait for.
- fillfactor: every batch is an UPDATE of its endpoints' rows, which stays within the page where there is room.

webhooks_capture(…) takes in one batch: arrays with an element for each request. In the order of their ids, so that no
two batches wait for each other, it locks the endpoints, asks which are active, charges their limits (unless
`emission` is null: no limit, or it was charged in Redis), makes the ids, inserts, counts and notifies: a statement each
for the whole batch, because two instances' batches for one endpoint wait for each other. An id is later
than the newest one of its endpoint, whose row stays locked until the commit: for one endpoint, the order of ids is the
order of commits, which is what lets a stream resume after an id without a gap.

It answers a row for each request of an endpoint that exists, by its place in the arrays (from 1): `stored` with its id and
the endpoint's answer, `gone`, or `limited` with the microseconds to wait.
"""

import instantlite.uuid7
from django.db import migrations, models

_TABLE = """
CREATE TABLE webhooks_capturedrequest (
    id uuid NOT NULL PRIMARY KEY,
    endpoint_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    method text NOT NULL,
    target text NOT NULL,
    version text NOT NULL,
    content_type text NOT NULL,
    client inet,
    size bigint,
    too_large boolean NOT NULL,
    headers jsonb NOT NULL,
    body bytea NOT NULL
) PARTITION BY RANGE (id);
ALTER TABLE webhooks_capturedrequest ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE INDEX webhooks_captured_of ON webhooks_capturedrequest (endpoint_id, id);
ALTER TABLE webhooks_endpoint SET (fillfactor = 60);
"""

# Time in microseconds since the Unix epoch; RFC 9562, sections 5.7 and 6.2, method 3: milliseconds, their fraction in 12
# bits, and 62 random ones.
_UUID7 = """
CREATE FUNCTION webhooks_uuid7(us bigint) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT (lpad(to_hex(us / 1000), 12, '0') || '7' || lpad(to_hex(us % 1000 * 4096 / 1000), 3, '0')
        || right(replace(gen_random_uuid()::text, '-', ''), 16))::uuid
$$;
CREATE FUNCTION webhooks_first_uuid7(moment timestamptz) RETURNS uuid LANGUAGE sql STABLE AS $$
    SELECT rpad(lpad(to_hex(floor(date_part('epoch', moment) * 1000)::bigint), 12, '0'), 32, '0')::uuid
$$;
"""

_MAKE_PARTITION = """
CREATE FUNCTION webhooks_make_partition(day date) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    name CONSTANT text := 'webhooks_capturedrequest_' || to_char(day, 'YYYYMMDD');
    first CONSTANT uuid := webhooks_first_uuid7(day::timestamp AT TIME ZONE 'UTC');
    past CONSTANT uuid := webhooks_first_uuid7((day + 1)::timestamp AT TIME ZONE 'UTC');
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('instantlite webhook partitions'));
    -- Asked of the table: to_regclass() may remember from before the lock that there was none.
    IF EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = current_schema()::regnamespace) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE webhooks_capturedrequest INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE webhooks_capturedrequest ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
        name, first, past);
    RETURN true;
END
$$
"""

_FIRST_PARTITIONS = """
SELECT webhooks_make_partition((now() AT TIME ZONE 'UTC')::date + ahead) FROM generate_series(0, 2) ahead
"""

_CAPTURE = """
CREATE FUNCTION webhooks_capture(
    endpoints uuid[], methods text[], targets text[], versions text[], content_types text[], clients inet[],
    sizes bigint[], too_large boolean[], headers text[], bodies bytea[], waited_us bigint[],
    emission bigint, tolerance bigint, moment timestamptz
) RETURNS TABLE (place bigint, verdict text, request_id uuid, wait_us bigint, answer jsonb) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    now_us CONSTANT bigint := date_part('epoch', moment) * 1000000;
    -- Of each active endpoint, in the order of their ids.
    known uuid[];
    answers jsonb[];
    bases bigint[];
    taken int[];
    waits bigint[];
    gone uuid[];
    -- Of each request, in the order of `endpoints`; null where it is not stored.
    ids uuid[];
    full_again boolean;
BEGIN
    SELECT array_agg(e.id ORDER BY e.id) FILTER (WHERE e.active), array_agg(e.answer ORDER BY e.id) FILTER (WHERE e.active),
        array_agg(greatest(now_us, e.newest_us + 1) ORDER BY e.id) FILTER (WHERE e.active),
        array_agg(e.id) FILTER (WHERE NOT e.active)
    INTO known, answers, bases, gone
    FROM (
        SELECT w.id, w.state = 'active' AND w.expires_at > moment AS active, w.answer, w.newest_us
        FROM webhooks_endpoint w WHERE w.id = ANY (endpoints) ORDER BY w.id FOR UPDATE
    ) e;
    IF known IS NULL THEN
        RETURN QUERY SELECT u.p, 'gone', NULL::uuid, NULL::bigint, NULL::jsonb
            FROM unnest(endpoints) WITH ORDINALITY u (id, p) WHERE u.id = ANY (gone);
        RETURN;
    END IF;
    SELECT array_agg(u.number ORDER BY u.id) INTO taken
    FROM (SELECT id, count(*)::int AS number FROM unnest(endpoints) id WHERE id = ANY (known) GROUP BY id) u;
    IF emission IS NOT NULL THEN
        SELECT t.taken, t.wait_us INTO taken, waits
        FROM ratelimit_take(
            array(SELECT 'captures:' || id FROM unnest(known) id ORDER BY id), taken, emission, tolerance, moment) t;
    END IF;
    ids := array(
        SELECT CASE WHEN u.nth <= k.taken THEN webhooks_uuid7(k.base + u.nth - 1) END
        FROM (
            SELECT id, p, row_number() OVER (PARTITION BY id ORDER BY p) AS nth
            FROM unnest(endpoints) WITH ORDINALITY x (id, p)
        ) u
        LEFT JOIN unnest(known, taken, bases) k (id, taken, base) USING (id)
        ORDER BY u.p
    );
    INSERT INTO webhooks_capturedrequest
        (id, endpoint_id, received_at, method, target, version, content_type, client, size, too_large, headers, body)
    SELECT u.id, u.endpoint_id, moment - make_interval(secs => u.waited / 1e6), u.method, u.target, u.version,
        u.content_type, u.client, u.size, u.large, u.headers::jsonb, u.body
    FROM unnest(ids, endpoints, waited_us, methods, targets, versions, content_types, clients, sizes, too_large, headers,
            bodies)
        u (id, endpoint_id, waited, method, target, version, content_type, client, size, large, headers, body)
    WHERE u.id IS NOT NULL;
    WITH counted AS (
        UPDATE webhooks_endpoint e
        SET captured = e.captured + k.taken, stored = e.stored + k.taken, newest_us = k.base + k.taken - 1
        FROM unnest(known, taken, bases) k (id, taken, base)
        WHERE e.id = k.id AND k.taken > 0
        RETURNING e.stored - k.taken AS before, e.stored AS now, e.requests_stored * 1.5 + 20 AS much
    )
    SELECT bool_or(before <= much AND now > much) INTO full_again FROM counted;
    PERFORM pg_notify('instantlite_captures', newest.endpoint_id || ' ' || newest.id)
    FROM (
        SELECT DISTINCT ON (endpoint_id) endpoint_id, id FROM unnest(endpoints, ids) u (endpoint_id, id)
        WHERE id IS NOT NULL ORDER BY endpoint_id, id DESC
    ) newest;
    -- Well beyond what one keeps: the housekeepers are told, once for each time that it has filled up again.
    IF full_again THEN
        PERFORM pg_notify('instantlite_wake', '');
    END IF;
    RETURN QUERY
        SELECT u.p, CASE WHEN u.id IS NOT NULL THEN 'stored' WHEN k.id IS NOT NULL THEN 'limited' ELSE 'gone' END, u.id,
            CASE WHEN u.id IS NULL THEN k.wait END, CASE WHEN u.id IS NOT NULL THEN k.answer END
        FROM unnest(endpoints, ids) WITH ORDINALITY u (endpoint_id, id, p)
        LEFT JOIN unnest(known, waits, answers) k (id, wait, answer) ON k.id = u.endpoint_id
        WHERE k.id IS NOT NULL OR u.endpoint_id = ANY (gone);
END
$$
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = [("ratelimit", "0002_take")]

    operations = [
        migrations.CreateModel(
            name='Endpoint',
            fields=[
                ('id', models.UUIDField(default=instantlite.uuid7.uuid7, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(blank=True, max_length=120)),
                ('fingerprint', models.CharField(blank=True, editable=False, max_length=64, verbose_name='owner')),
                ('state', models.CharField(choices=[('building', 'Building'), ('ready', 'Ready'), ('active', 'Active'), ('dropping', 'Dropping'), ('gone', 'Gone')], editable=False, max_length=10)),
                ('created_at', models.DateTimeField(editable=False, null=True)),
                ('expires_at', models.DateTimeField(editable=False, null=True)),
                ('gone_at', models.DateTimeField(editable=False, null=True)),
                ('granted_ttl', models.DurationField(editable=False, null=True)),
                ('idempotency_mac', models.BinaryField(max_length=32, null=True, unique=True)),
                ('request_digest', models.BinaryField(max_length=32, null=True)),
                ('requests_stored', models.PositiveIntegerField(default=100, editable=False)),
                ('captured', models.BigIntegerField(default=0, editable=False)),
                ('stored', models.BigIntegerField(default=0, editable=False)),
                ('newest_us', models.BigIntegerField(default=0, editable=False)),
                ('answer', models.JSONField(editable=False, null=True)),
            ],
            options={
                'ordering': ['-id'],
                'indexes': [models.Index(condition=models.Q(('state', 'active')), fields=['expires_at'], name='webhook_expiry'), models.Index(condition=models.Q(('state', 'dropping')), fields=['id'], name='webhook_ending'), models.Index(condition=models.Q(('state', 'gone')), fields=['gone_at'], name='webhook_gone'), models.Index(fields=['fingerprint'], name='webhook_fingerprint')],
            },
        ),
        migrations.RunSQL(_UUID7, "DROP FUNCTION webhooks_uuid7(bigint); DROP FUNCTION webhooks_first_uuid7(timestamptz)"),
        migrations.RunSQL(
            _TABLE,
            "DROP TABLE webhooks_capturedrequest",
            state_operations=[
                migrations.CreateModel(
                    name='CapturedRequest',
                    fields=[
                        ('id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                        ('endpoint_id', models.UUIDField(editable=False)),
                        ('received_at', models.DateTimeField(editable=False)),
                        ('method', models.TextField(editable=False)),
                        ('target', models.TextField(editable=False)),
                        ('version', models.TextField(editable=False)),
                        ('content_type', models.TextField(editable=False)),
                        ('client', models.GenericIPAddressField(editable=False, null=True)),
                        ('size', models.BigIntegerField(editable=False, null=True)),
                        ('too_large', models.BooleanField(editable=False)),
                        ('headers', models.JSONField(editable=False)),
                        ('body', models.BinaryField()),
                    ],
                    options={
                        'ordering': ['-id'],
                        'managed': True,
                    },
                ),
            ],
        ),
        migrations.RunSQL(_MAKE_PARTITION, "DROP FUNCTION webhooks_make_partition(date)"),
        migrations.RunSQL(_FIRST_PARTITIONS, migrations.RunSQL.noop),
        migrations.RunSQL(
            _CAPTURE,
            "DROP FUNCTION webhooks_capture(uuid[], text[], text[], text[], text[], inet[], bigint[], boolean[], text[],"
            " bytea[], bigint[], bigint, bigint, timestamptz)",
        ),
    ]
