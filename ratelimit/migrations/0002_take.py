"""The function by which a batch takes as much as there is of several buckets.

ratelimit_take(buckets, wanted, emission, tolerance, moment): charges each bucket up to `wanted` times, as often as
ratelimit_charge() would have allowed one after the other; no bucket is named twice. Answers how many were taken of each,
and after how many microseconds one more would be, both in the order of `buckets`. The caller's transaction holds the
rows until it ends; they are locked in the order of their keys.

All of them in one statement each: in a loop over the buckets, a batch of sixteen would take twice as long.
"""

from django.db import migrations

_TAKE = """
CREATE FUNCTION ratelimit_take(
    buckets text[], wanted int[], emission bigint, tolerance bigint, moment timestamptz,
    OUT taken int[], OUT wait_us bigint[]
) LANGUAGE plpgsql AS $$
DECLARE
    now_us CONSTANT bigint := date_part('epoch', moment) * 1000000;
    old bigint[];
BEGIN
    LOOP
        SELECT coalesce(array_agg(greatest(tat, now_us) ORDER BY place), '{}') INTO old
        FROM (
            SELECT b.tat, w.place FROM unnest(buckets) WITH ORDINALITY w (key, place) JOIN ratelimit_bucket b USING (key)
            ORDER BY key FOR UPDATE OF b
        ) locked;
        EXIT WHEN cardinality(old) = cardinality(buckets);
        -- Made, full; of two callers that make one row, the second waits and finds it made.
        INSERT INTO ratelimit_bucket SELECT key, 0 FROM unnest(buckets) key ORDER BY key ON CONFLICT DO NOTHING;
    END LOOP;
    SELECT array_agg(t.taken ORDER BY place),
        array_agg(greatest(0, tat + (t.taken + 1) * emission - tolerance - now_us) ORDER BY place)
    INTO taken, wait_us
    FROM (
        SELECT place, tat, least(number, greatest(0, (now_us + tolerance - tat) / emission))::int AS taken
        FROM unnest(wanted, old) WITH ORDINALITY w (number, tat, place)
    ) t;
    UPDATE ratelimit_bucket b SET tat = w.tat + w.taken * emission
    FROM unnest(buckets, old, taken) w (key, tat, taken) WHERE b.key = w.key AND w.taken > 0;
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("ratelimit", "0001_initial")]

    operations = [
        migrations.RunSQL(_TAKE, "DROP FUNCTION ratelimit_take(text[], int[], bigint, bigint, timestamptz)"),
    ]
