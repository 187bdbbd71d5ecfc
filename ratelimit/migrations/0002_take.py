"""The function by which a batch takes as much of one bucket as there is.

ratelimit_take(bucket, wanted, emission, tolerance, moment): charges the bucket up to `wanted` times, as often as
ratelimit_charge() would have allowed one after the other. Answers how many were taken, and after how many microseconds
one more would be. The caller's transaction holds the bucket's row until it ends.
"""

from django.db import migrations

_TAKE = """
CREATE FUNCTION ratelimit_take(
    bucket text, wanted int, emission bigint, tolerance bigint, moment timestamptz, OUT taken int, OUT wait_us bigint
) LANGUAGE plpgsql AS $$
DECLARE
    now_us CONSTANT bigint := date_part('epoch', moment) * 1000000;
    old bigint;
BEGIN
    LOOP
        SELECT greatest(tat, now_us) INTO old FROM ratelimit_bucket WHERE key = bucket FOR UPDATE;
        EXIT WHEN FOUND;
        -- Made, full; of two callers that make one row, the second waits and finds it made.
        INSERT INTO ratelimit_bucket VALUES (bucket, 0) ON CONFLICT DO NOTHING;
    END LOOP;
    taken := least(wanted, greatest(0, (now_us + tolerance - old) / emission));
    IF taken > 0 THEN
        UPDATE ratelimit_bucket SET tat = old + taken * emission WHERE key = bucket;
    END IF;
    wait_us := greatest(0, old + (taken + 1) * emission - tolerance - now_us);
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "0001_initial")]

    operations = [
        migrations.RunSQL(_TAKE, "DROP FUNCTION ratelimit_take(text, int, bigint, bigint, timestamptz)"),
    ]
