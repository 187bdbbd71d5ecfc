"""The limiter's table and its two functions.

Raw SQL: the ORM knows no UNLOGGED table, no storage parameters and no functions.

- UNLOGGED: no WAL, so that a charge waits for no disk. What a crash loses costs a burst.
- fillfactor and autovacuum: every charge is an UPDATE of a row of a few dozen bytes. With room on its page, and no index
  on what changes, it is a HOT update whose predecessors the next one prunes; vacuum then has little to do, and does it
  early. An index on `tat` would end that, which is why pruning stale rows reads the whole table instead.
- A function, because several limits are decided together: all rows are charged or none, in one round trip. Written
  in plpgsql, whose statements are planned once per connection.

ratelimit_charge(what, moment): `what` is a flat array of key, interval, tolerance, key, interval, tolerance, …, sorted
by key, so that two decisions never wait for each other. Answers `<1 or 0> <now> <level> <level> …`, in text because the
answer is read on every request and text is read fastest. A row that refuses undoes the charges before it: they are
locked by this transaction, so nobody has seen them.

ratelimit_give_back(what, moment): key, interval, TAT as it was charged. What the charge has already earned back by the
clock is not given a second time, or a late return would admit one too many.
"""

from django.db import migrations, models

_TABLE = """
CREATE UNLOGGED TABLE ratelimit_bucket (key text NOT NULL PRIMARY KEY, tat bigint NOT NULL)
WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.0,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 0.0,
    autovacuum_vacuum_insert_threshold = 20000,
    autovacuum_analyze_scale_factor = 0.0,
    autovacuum_analyze_threshold = 20000,
    autovacuum_vacuum_cost_delay = 0
)
"""

_CHARGE = """
CREATE FUNCTION ratelimit_charge(what text[], moment timestamptz) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    now_us CONSTANT bigint := date_part('epoch', moment) * 1000000;
    new_tat bigint;
    answer text;
BEGIN
    <<again>> LOOP
        answer := '1 ' || now_us;
        FOR i IN 1 .. cardinality(what) BY 3 LOOP
            UPDATE ratelimit_bucket SET tat = greatest(tat, now_us) + what[i + 1]::bigint
            WHERE key = what[i] AND tat <= now_us + what[i + 2]::bigint - what[i + 1]::bigint
            RETURNING tat INTO new_tat;
            IF NOT FOUND THEN
                -- What was charged before is undone: to the microsecond where the bucket was not full, and to full where
                -- it was.
                FOR j IN 1 .. i - 3 BY 3 LOOP
                    UPDATE ratelimit_bucket
                    SET tat = CASE WHEN tat - what[j + 1]::bigint > now_us THEN tat - what[j + 1]::bigint ELSE 0 END
                    WHERE key = what[j];
                END LOOP;
                SELECT tat INTO new_tat FROM ratelimit_bucket WHERE key = what[i];
                IF NOT FOUND THEN
                    -- Made, full; of two callers that make one row, the second waits and finds it made. One at a time, so
                    -- that locks are taken in the order of the keys here too.
                    INSERT INTO ratelimit_bucket VALUES (what[i], 0) ON CONFLICT DO NOTHING;
                    CONTINUE again;
                END IF;
                -- It was made, or given back, between the two looks.
                CONTINUE again WHEN new_tat <= now_us + what[i + 2]::bigint - what[i + 1]::bigint;
                answer := '0 ' || now_us;
                FOR j IN 1 .. cardinality(what) BY 3 LOOP
                    SELECT tat INTO new_tat FROM ratelimit_bucket WHERE key = what[j];
                    answer := answer || ' ' || (coalesce(new_tat, 0) - now_us);
                END LOOP;
                RETURN answer;
            END IF;
            answer := answer || ' ' || (new_tat - now_us);
        END LOOP;
        RETURN answer;
    END LOOP;
END
$$
"""

_GIVE_BACK = """
CREATE FUNCTION ratelimit_give_back(what text[], moment timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    now_us CONSTANT bigint := date_part('epoch', moment) * 1000000;
BEGIN
    FOR i IN 1 .. cardinality(what) BY 3 LOOP
        UPDATE ratelimit_bucket
        SET tat = tat - least(what[i + 1]::bigint, greatest(0, what[i + 2]::bigint - now_us))
        WHERE key = what[i];
    END LOOP;
END
$$
"""


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.RunSQL(
            _TABLE,
            "DROP TABLE ratelimit_bucket",
            state_operations=[
                migrations.CreateModel(
                    name="Bucket",
                    fields=[
                        ("key", models.TextField(primary_key=True, serialize=False)),
                        ("tat", models.BigIntegerField()),
                    ],
                ),
            ],
        ),
        migrations.RunSQL(_CHARGE, "DROP FUNCTION ratelimit_charge(text[], timestamptz)"),
        migrations.RunSQL(_GIVE_BACK, "DROP FUNCTION ratelimit_give_back(text[], timestamptz)"),
    ]
