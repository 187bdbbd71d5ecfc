"""What the courier is made of: a delivery written with each capture, claims, leases, and outcomes.

Locks are taken in one order everywhere: endpoints, then deliveries, then destinations, each in the order of their ids.
Claiming waits for none of them.

webhooks_capture(…) is migration 0001's, which now also writes a delivery for each stored request and each destination
that is on, in the same transaction, tells the couriers of which endpoints, and gives the id of the one that the sender
waits for, if its endpoint is in proxy mode: that one is claimed already. It takes no lock on destinations, so that
capturing waits for no courier. Ids of deliveries are of their request's microsecond: in the order of requests.

webhooks_claim(…) hands out deliveries that are due, of the endpoints that it was `told` of and of destinations that
are due (wake_at): no more at a time than a destination has room for, the first one only where it wants strict order,
and `most` and `budget` bytes of bodies altogether. Of one endpoint it hands out `most_of_one` and `budget_of_one`, and
nothing where it is one of `full_`; one of each endpoint comes before a second of any, and of an endpoint's destinations
the same. It first locks the destinations and then looks, in a statement of its own: what another courier did until its
locks were let go is seen. A destination is looked at again when its next delivery is due, or, if it has no room, when
one is done. Where another courier has it locked, that one was told of the same capture, and looks again; whoever else
had it locked leaves it to webhooks_put_back().

webhooks_record(…) takes in outcomes: an attempt each, what becomes of the delivery and of its destination. A delivery
that is no longer the caller's (its lease ran out, `number` is behind) keeps its state; the attempt is on record all the
same. A destination has room for one more with each success, and for one alone after a failure; from the third failure
in a row on it rests, twice as long each time, up to a minute: a circuit breaker, half open with the one that has room.
Any answer that is no sign of trouble closes it.

webhooks_put_back(…) returns deliveries whose lease ran out, because who had them was killed; and has destinations
looked at that have had something due for so long that nobody can have been told of it. A destination may be
deleted at any time, in a transaction that locks nothing else: what is to wait for it then is dead.
"""

from importlib import import_module

from django.db import migrations

_initial = import_module("webhooks.migrations.0001_initial")
_SIGNATURE = (
    "webhooks_capture(uuid[], text[], text[], text[], text[], inet[], bigint[], boolean[], text[], bytea[], bigint[],"
    " bigint, bigint, timestamptz)"
)
_NEW_SIGNATURE = _SIGNATURE.replace("bigint, timestamptz", "bigint, interval, timestamptz")

# PostgreSQL deletes attempts with their delivery. Room for updates within a page.
_TABLES = """
ALTER TABLE webhooks_attempt ADD CONSTRAINT webhooks_attempt_of
    FOREIGN KEY (delivery_id) REFERENCES webhooks_delivery (id) ON DELETE CASCADE;
ALTER TABLE webhooks_attempt ALTER COLUMN answer_body SET STORAGE EXTERNAL;
ALTER TABLE webhooks_destination SET (fillfactor = 50);
ALTER TABLE webhooks_delivery SET (fillfactor = 80);
"""

_CAPTURE = """
CREATE FUNCTION webhooks_capture(
    endpoints uuid[], methods text[], targets text[], versions text[], content_types text[], clients inet[],
    sizes bigint[], too_large boolean[], headers text[], bodies bytea[], waited_us bigint[],
    emission bigint, tolerance bigint, retry_for interval, moment timestamptz
) RETURNS TABLE (
    place bigint, verdict text, request_id uuid, wait_us bigint, answer jsonb, proxied uuid
) LANGUAGE plpgsql AS $$
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
    -- Of each request, in the order of `endpoints`; null where it is not stored, or not sent on while its sender waits.
    ids uuid[];
    proxies uuid[];
    -- Endpoints that have something to send now.
    told uuid[];
    full_again boolean;
BEGIN
    SELECT array_agg(e.id ORDER BY e.id) FILTER (WHERE e.active),
        array_agg(e.answer ORDER BY e.id) FILTER (WHERE e.active),
        array_agg(greatest(now_us, e.newest_us + 1) ORDER BY e.id) FILTER (WHERE e.active),
        array_agg(e.id) FILTER (WHERE NOT e.active)
    INTO known, answers, bases, gone
    FROM (
        SELECT w.id, w.state = 'active' AND w.expires_at > moment AS active, w.answer, w.newest_us
        FROM webhooks_endpoint w WHERE w.id = ANY (endpoints) ORDER BY w.id FOR UPDATE
    ) e;
    IF known IS NULL THEN
        RETURN QUERY SELECT u.p, 'gone', NULL::uuid, NULL::bigint, NULL::jsonb, NULL::uuid
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
        RETURNING e.stored - e.held - k.taken AS before, e.stored - e.held AS now, e.requests_stored * 1.5 + 20 AS much
    )
    SELECT bool_or(before <= much AND now > much) INTO full_again FROM counted;
    PERFORM pg_notify('instantlite_captures', newest.endpoint_id || ' ' || newest.id)
    FROM (
        SELECT DISTINCT ON (endpoint_id) endpoint_id, id FROM unnest(endpoints, ids) u (endpoint_id, id)
        WHERE id IS NOT NULL ORDER BY endpoint_id, id DESC
    ) newest;
    IF EXISTS (SELECT FROM webhooks_destination d WHERE d.endpoint_id = ANY (known) AND d.enabled AND d.listed) THEN
        WITH wanted AS (
            SELECT u.p, u.id AS request_id, d.endpoint_id, d.id AS destination_id, u.us,
                -- The first destination's answer is waited for, unless that one is strict about order and busy.
                -- Nor while that one rests: a sender shall not wait for what is known to be away.
                e.proxy_seconds IS NOT NULL AND row_number() OVER (PARTITION BY u.p ORDER BY d.id) = 1
                AND (d.rests_until IS NULL OR d.rests_until <= moment)
                AND NOT (d.ordered AND (u.nth > 1 OR EXISTS (
                    SELECT FROM webhooks_delivery v
                    WHERE v.destination_id = d.id AND v.state IN ('pending', 'delivering'))))
                AS proxied, d.timeout_seconds
            FROM (
                SELECT x.p, x.id, x.endpoint_id, x.large, k.base + row_number() OVER (
                    PARTITION BY x.endpoint_id ORDER BY x.p) - 1 AS us,
                    row_number() OVER (PARTITION BY x.endpoint_id ORDER BY x.p) AS nth
                FROM unnest(ids, endpoints, too_large) WITH ORDINALITY x (id, endpoint_id, large, p)
                JOIN unnest(known, bases) k (endpoint_id, base) USING (endpoint_id)
                WHERE x.id IS NOT NULL
            ) u
            JOIN webhooks_destination d ON d.endpoint_id = u.endpoint_id AND d.enabled AND d.listed
            JOIN webhooks_endpoint e ON e.id = d.endpoint_id
            WHERE NOT u.large
        ), written AS (
            INSERT INTO webhooks_delivery
                (id, endpoint_id, request_id, destination_id, url, origin, state, attempts, tries, created_at, next_at,
                until, note)
            SELECT webhooks_uuid7(w.us), w.endpoint_id, w.request_id, w.destination_id, '', 'forward',
                CASE WHEN w.proxied THEN 'delivering' ELSE 'pending' END,
                w.proxied::int, w.proxied::int, moment,
                -- The lease of who sends it on while the sender waits, and after that.
                moment + CASE WHEN w.proxied THEN make_interval(secs => w.timeout_seconds + 30) ELSE interval '0' END,
                moment + retry_for, ''
            FROM wanted w
            RETURNING id, endpoint_id, request_id, state
        )
        SELECT
            array(SELECT w.id FROM unnest(ids) WITH ORDINALITY u (id, p)
                LEFT JOIN written w ON w.request_id = u.id AND w.state = 'delivering' ORDER BY u.p),
            array(SELECT DISTINCT w.endpoint_id FROM written w WHERE w.state = 'pending')
        INTO proxies, told;
        PERFORM pg_notify('instantlite_deliveries', id::text) FROM unnest(told) id;
    END IF;
    -- Well beyond what one keeps: the housekeepers are told, once for each time that it has filled up again.
    IF full_again THEN
        PERFORM pg_notify('instantlite_wake', '');
    END IF;
    RETURN QUERY
        SELECT u.p, CASE WHEN u.id IS NOT NULL THEN 'stored' WHEN k.id IS NOT NULL THEN 'limited' ELSE 'gone' END, u.id,
            CASE WHEN u.id IS NULL THEN k.wait END, CASE WHEN u.id IS NOT NULL THEN k.answer END, u.proxied
        FROM unnest(endpoints, ids, proxies) WITH ORDINALITY u (endpoint_id, id, proxied, p)
        LEFT JOIN unnest(known, waits, answers) k (id, wait, answer) ON k.id = u.endpoint_id
        WHERE k.id IS NOT NULL OR u.endpoint_id = ANY (gone);
END
$$
"""

_CLAIM = """
CREATE FUNCTION webhooks_claim(
    told uuid[], full_ uuid[], most int, most_of_one int, most_room int, budget bigint, budget_of_one bigint,
    moment timestamptz
) RETURNS TABLE (
    delivery_id uuid, endpoint_id uuid, request_id uuid, destination_id uuid, origin text, number int, tries int,
    until timestamptz, edited jsonb, edited_body bytea,
    url text, timeout_seconds float8, filter jsonb, signing jsonb, failures int,
    method text, target text, version text, client inet, received_at timestamptz, headers jsonb, body bytea
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    looked_at uuid[];
    claimed uuid[];
BEGIN
    looked_at := array(
        SELECT d.id FROM webhooks_destination d WHERE d.wake_at <= moment AND d.endpoint_id <> ALL (full_)
        ORDER BY d.wake_at LIMIT most FOR UPDATE SKIP LOCKED
    );
    looked_at := looked_at || array(
        SELECT d.id FROM webhooks_destination d
        WHERE d.endpoint_id = ANY (told) AND d.endpoint_id <> ALL (full_)
        AND d.enabled AND d.listed AND d.id <> ALL (looked_at)
        AND (d.rests_until IS NULL OR d.rests_until <= moment)
        FOR UPDATE SKIP LOCKED
    );
    IF looked_at = '{}' THEN
        RETURN;
    END IF;
    WITH room AS (
        SELECT d.id, d.endpoint_id, d.ordered, CASE WHEN d.ordered THEN 1 ELSE least(d.room, most_room) END - (
            SELECT count(*) FROM webhooks_delivery b WHERE b.destination_id = d.id AND b.state = 'delivering'
        ) AS free
        FROM webhooks_destination d JOIN webhooks_endpoint e ON e.id = d.endpoint_id
        WHERE d.id = ANY (looked_at) AND d.enabled AND e.state = 'active' AND e.expires_at > moment
    ), due AS (
        SELECT v.id, v.endpoint_id, v.request_id, v.edited_body,
            row_number() OVER (PARTITION BY r.id ORDER BY v.id) AS nth
        FROM room r CROSS JOIN LATERAL (
            SELECT b.* FROM webhooks_delivery b
            WHERE b.destination_id = r.id AND b.state = 'pending' AND b.next_at <= moment AND NOT r.ordered
            ORDER BY b.id LIMIT greatest(r.free, 0)
        ) v
        UNION ALL
        SELECT v.id, v.endpoint_id, v.request_id, v.edited_body, 1
        FROM room r CROSS JOIN LATERAL (
            SELECT b.* FROM webhooks_delivery b
            WHERE b.destination_id = r.id AND b.state IN ('pending', 'delivering') AND r.ordered
            ORDER BY b.id LIMIT 1
        ) v
        -- One that was asked for again may be older than what is under way.
        WHERE v.state = 'pending' AND v.next_at <= moment AND r.free > 0
    ), sized AS (
        SELECT due.id, due.endpoint_id, due.nth, coalesce(length(due.edited_body), c.size, 0) AS size
        FROM due LEFT JOIN webhooks_capturedrequest c ON c.id = due.request_id
    ), of_one AS (
        SELECT s.id, s.size, row_number() OVER w AS place, sum(s.size) OVER w - s.size AS before
        FROM sized s WINDOW w AS (PARTITION BY s.endpoint_id ORDER BY s.nth, s.id)
    ), in_turn AS (
        SELECT o.id, row_number() OVER w AS place, sum(o.size) OVER w - o.size AS before
        FROM of_one o WHERE o.place <= most_of_one AND o.before < budget_of_one
        WINDOW w AS (ORDER BY o.place, o.id)
    ), mine AS (
        SELECT v.id FROM webhooks_delivery v
        WHERE v.id IN (SELECT id FROM in_turn WHERE place <= most AND before < budget) AND v.state = 'pending'
        FOR UPDATE SKIP LOCKED
    ), taken AS (
        UPDATE webhooks_delivery v
        SET state = 'delivering', attempts = v.attempts + 1, tries = v.tries + 1,
            next_at = moment + make_interval(secs => d.timeout_seconds + 30)
        FROM mine, webhooks_destination d
        WHERE v.id = mine.id AND d.id = v.destination_id
        RETURNING v.id
    )
    SELECT array_agg(id) INTO claimed FROM taken;
    UPDATE webhooks_destination d SET wake_at = CASE WHEN next.at IS NOT NULL THEN greatest(d.rests_until, next.at) END
    FROM webhooks_destination own
    CROSS JOIN LATERAL (
        SELECT CASE
            WHEN NOT own.enabled OR NOT EXISTS (
                SELECT FROM webhooks_endpoint e
                WHERE e.id = own.endpoint_id AND e.state = 'active' AND e.expires_at > moment)
            THEN NULL
            WHEN (SELECT count(*) FROM webhooks_delivery b WHERE b.destination_id = own.id AND b.state = 'delivering')
                >= CASE WHEN own.ordered THEN 1 ELSE least(own.room, most_room) END
            THEN NULL
            WHEN own.ordered THEN (
                SELECT b.next_at FROM webhooks_delivery b
                WHERE b.destination_id = own.id AND b.state IN ('pending', 'delivering') ORDER BY b.id LIMIT 1)
            ELSE (
                SELECT min(b.next_at) FROM webhooks_delivery b WHERE b.destination_id = own.id AND b.state = 'pending')
        END AS at
    ) next
    WHERE d.id = ANY (looked_at) AND own.id = d.id;
    RETURN QUERY
        SELECT v.id, v.endpoint_id, v.request_id, d.id, v.origin::text, v.attempts, v.tries, v.until, v.edited,
            v.edited_body, d.url, d.timeout_seconds, d.filter, d.signing, d.failures,
            c.method, c.target, c.version, c.client, c.received_at, c.headers,
            CASE WHEN v.edited_body IS NULL THEN c.body END
        FROM webhooks_delivery v JOIN webhooks_destination d ON d.id = v.destination_id
        LEFT JOIN webhooks_capturedrequest c ON c.id = v.request_id AND c.endpoint_id = v.endpoint_id
        WHERE v.id = ANY (claimed);
END
$$
"""

_RECORD = """
CREATE FUNCTION webhooks_record(
    deliveries uuid[], numbers int[], attempts uuid[], attempted boolean[], started timestamptz[], durations float8[],
    statuses int[], errors text[], headers text[], bodies bytea[], truncated boolean[],
    states text[], due timestamptz[], notes text[], urls text[], effects text[], rests float8[], moment timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    there uuid[];
    -- Attempts that are not on record yet: recorded twice, an outcome counts once.
    fresh uuid[];
BEGIN
    there := array(SELECT v.id FROM webhooks_delivery v WHERE v.id = ANY (deliveries) ORDER BY v.id FOR UPDATE);
    WITH inserted AS (
        INSERT INTO webhooks_attempt
            (id, delivery_id, number, started_at, duration_ms, status, error, answer_headers, answer_body,
            answer_truncated)
        SELECT u.attempt, u.id, u.number, u.started, u.duration, u.status, u.error, u.headers::jsonb, u.body, u.truncated
        FROM unnest(deliveries, numbers, attempts, attempted, started, durations, statuses, errors, headers, bodies,
                truncated)
            u (id, number, attempt, attempted, started, duration, status, error, headers, body, truncated)
        WHERE u.attempted AND u.id = ANY (there)
        ON CONFLICT DO NOTHING
        RETURNING id
    )
    SELECT array_agg(id) INTO fresh FROM inserted;
    UPDATE webhooks_delivery v
    SET state = u.state, next_at = u.due, note = u.note, url = CASE WHEN u.url <> '' THEN u.url ELSE v.url END,
        finished_at = CASE WHEN u.state IN ('delivered', 'dead', 'skipped') THEN moment END,
        -- What was put off untouched was not tried.
        attempts = v.attempts - (NOT u.attempted)::int, tries = v.tries - (NOT u.attempted)::int
    FROM unnest(deliveries, numbers, attempted, states, due, notes, urls) u (id, number, attempted, state, due, note, url)
    -- One that was put back meanwhile, and that nobody has claimed since, is still the caller's.
    WHERE v.id = u.id AND v.state IN ('delivering', 'pending') AND v.attempts = u.number;
    DELETE FROM webhooks_attempt a USING unnest(deliveries, numbers) u (id, number)
    WHERE u.number > 30 AND a.delivery_id = u.id AND a.number <= u.number - 30;
    -- Of the others only the newest keep what was answered, which is long.
    UPDATE webhooks_attempt a SET answer_headers = '[]', answer_body = '', answer_truncated = true
    FROM unnest(deliveries, numbers) u (id, number)
    WHERE u.number > 5 AND a.delivery_id = u.id AND a.number <= u.number - 5
        AND NOT (a.answer_headers = '[]' AND a.answer_body = '');
    PERFORM FROM webhooks_destination d
    WHERE d.id IN (SELECT v.destination_id FROM webhooks_delivery v WHERE v.id = ANY (there)) ORDER BY d.id FOR UPDATE;
    PERFORM webhooks_end_orphans(there, moment);
    UPDATE webhooks_destination d
    SET enabled = d.enabled AND NOT n.stop,
        stopped = CASE WHEN n.stop AND d.enabled AND d.listed THEN 'It answered 410 Gone.' ELSE d.stopped END,
        room = CASE WHEN n.bad > 0 THEN 1 ELSE least(d.room + n.good, 1000) END,
        failures = n.failures,
        rests_until = n.rests_until,
        wake_at = CASE WHEN d.enabled AND NOT n.stop THEN greatest(moment, n.rests_until) END
    FROM (
        SELECT s.*, greatest(
            CASE WHEN s.asked > 0 THEN moment + make_interval(secs => s.asked) END,
            -- A rest goes on, unless it was the breaker's and there is a success after all.
            CASE WHEN s.rested > moment AND NOT (s.good > 0 AND s.before >= 3) THEN s.rested END,
            CASE WHEN s.worse AND s.failures >= 3
                THEN moment + make_interval(secs => least(60, 2 ^ least(s.failures - 3, 10))) END
            ) AS rests_until
        FROM (
            SELECT c.*, CASE
                WHEN c.worse THEN least(c.base + c.bad, greatest(c.base + 1, 3))
                WHEN c.good + c.alive > 0 THEN 0
                ELSE c.before
                END AS failures
            FROM (
                SELECT t.*, o.failures AS before, o.rests_until AS rested,
                    CASE WHEN t.good + t.alive > 0 THEN 0 ELSE o.failures END AS base,
                    -- Those that were under way together fail together, which is one trouble: they make it three
                    -- failures at most, and while it rests no further ones.
                    t.bad > 0 AND NOT (o.failures >= 3 AND coalesce(o.rests_until > moment, false)) AS worse
                FROM webhooks_destination o JOIN (
                    SELECT v.destination_id AS id, count(*) FILTER (WHERE u.effect = 'bad')::int AS bad,
                        count(*) FILTER (WHERE u.effect = 'good')::int AS good,
                        count(*) FILTER (WHERE u.effect = 'alive')::int AS alive,
                        bool_or(u.effect = 'stop') AND bool_or(w.listed) AS stop, max(u.rest) AS asked
                    FROM (
                        SELECT x.id, CASE WHEN x.attempt = ANY (fresh) THEN x.effect ELSE 'none' END AS effect,
                            CASE WHEN x.attempt = ANY (fresh) THEN x.rest ELSE 0 END AS rest
                        FROM unnest(deliveries, attempts, effects, rests) x (id, attempt, effect, rest)
                    ) u
                    JOIN webhooks_delivery v ON v.id = u.id
                    JOIN webhooks_destination w ON w.id = v.destination_id
                    GROUP BY v.destination_id
                ) t ON t.id = o.id
            ) c
        ) s
    ) n
    WHERE d.id = n.id;
END
$$
"""

_PUT_BACK = """
CREATE FUNCTION webhooks_put_back(most int, untold_for interval, moment timestamptz) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    lapsed uuid[];
BEGIN
    lapsed := array(
        SELECT v.id FROM webhooks_delivery v WHERE v.state = 'delivering' AND v.next_at <= moment
        ORDER BY v.id LIMIT most FOR UPDATE SKIP LOCKED
    );
    INSERT INTO webhooks_attempt
        (id, delivery_id, number, started_at, duration_ms, error, answer_headers, answer_body, answer_truncated)
    SELECT gen_random_uuid(), v.id, v.attempts, v.next_at, 0,
        'The process that sent it stopped before it had recorded an answer: it may have arrived, and is sent again.',
        '[]', '', false
    FROM webhooks_delivery v WHERE v.id = ANY (lapsed);
    -- Who was killed has not tried: what is tried once is sent again.
    UPDATE webhooks_delivery SET state = 'pending', next_at = moment, tries = greatest(tries - 1, 0)
    WHERE id = ANY (lapsed);
    PERFORM FROM webhooks_destination d
    WHERE d.id IN (SELECT v.destination_id FROM webhooks_delivery v WHERE v.id = ANY (lapsed)) ORDER BY d.id FOR UPDATE;
    PERFORM webhooks_end_orphans(lapsed, moment);
    UPDATE webhooks_destination d SET wake_at = greatest(moment, d.rests_until)
    WHERE d.id IN (SELECT v.destination_id FROM webhooks_delivery v WHERE v.id = ANY (lapsed)) AND d.enabled;
    UPDATE webhooks_destination d SET wake_at = moment
    WHERE d.id IN (
        SELECT o.id FROM webhooks_destination o
        WHERE o.wake_at IS NULL AND o.enabled AND EXISTS (
            SELECT FROM webhooks_delivery v WHERE v.destination_id = o.id AND v.state = 'pending'
            AND v.next_at <= moment - untold_for)
        ORDER BY o.id FOR UPDATE SKIP LOCKED
    );
    IF FOUND OR lapsed <> '{}' THEN
        PERFORM pg_notify('instantlite_deliveries', '');
    END IF;
    RETURN cardinality(lapsed);
END
$$
"""

# Their destination was deleted while they were under way. The caller has locked them, and the destinations that exist.
_END_ORPHANS = """
CREATE FUNCTION webhooks_end_orphans(deliveries uuid[], moment timestamptz) RETURNS void LANGUAGE sql AS $$
    UPDATE webhooks_delivery v
    SET state = 'dead', next_at = NULL, finished_at = moment, note = 'Its destination was deleted.'
    WHERE v.id = ANY (deliveries) AND v.state = 'pending'
        AND NOT EXISTS (SELECT FROM webhooks_destination d WHERE d.id = v.destination_id)
$$
"""

# Whoever deletes one that waits or is under way makes room for those behind it.
_DELETED = """
CREATE FUNCTION webhooks_delivery_deleted() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    freed uuid[];
BEGIN
    freed := array(
        SELECT d.id FROM webhooks_destination d
        WHERE d.id IN (SELECT g.destination_id FROM gone g WHERE g.state IN ('pending', 'delivering')) AND d.enabled
        ORDER BY d.id FOR UPDATE
    );
    IF freed <> '{}' THEN
        UPDATE webhooks_destination d SET wake_at = greatest(clock_timestamp(), d.rests_until) WHERE d.id = ANY (freed);
        PERFORM pg_notify('instantlite_deliveries', '');
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER webhooks_delivery_deleted AFTER DELETE ON webhooks_delivery
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION webhooks_delivery_deleted()
"""


class Migration(migrations.Migration):
    dependencies = [("webhooks", "0002_forwarding")]

    operations = [
        migrations.RunSQL(_TABLES, "ALTER TABLE webhooks_attempt DROP CONSTRAINT webhooks_attempt_of"),
        migrations.RunSQL(f"DROP FUNCTION {_SIGNATURE}", _initial._CAPTURE),
        migrations.RunSQL(_CAPTURE, f"DROP FUNCTION {_NEW_SIGNATURE}"),
        migrations.RunSQL(_CLAIM, "DROP FUNCTION webhooks_claim"),
        migrations.RunSQL(_END_ORPHANS, "DROP FUNCTION webhooks_end_orphans(uuid[], timestamptz)"),
        migrations.RunSQL(_DELETED, "DROP FUNCTION webhooks_delivery_deleted() CASCADE"),
        migrations.RunSQL(_RECORD, "DROP FUNCTION webhooks_record"),
        migrations.RunSQL(_PUT_BACK, "DROP FUNCTION webhooks_put_back"),
    ]
