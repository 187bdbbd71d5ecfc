"""What this app hands to the housekeeping loop."""

from instantlite.housekeeping import Step, interval, repair_interval
from webhooks import deliveries, endpoints, partitions

STEPS = (
    Step("webhook days", repair_interval, partitions.make_ahead),
    Step("webhooks trim", interval, endpoints.trim_one, on_wake=True),
    Step("webhooks expire", interval, endpoints.expire_due),
    Step("webhooks delete", interval, endpoints.finish_one),
    Step("webhooks retention", repair_interval, partitions.drop_one, lane="retention"),
    Step("webhooks purge", repair_interval, endpoints.purge_one_batch),
    Step("deliveries put back", interval, deliveries.put_back),
    Step("deliveries give up", repair_interval, deliveries.give_up),
    Step("deliveries purge", repair_interval, deliveries.purge_one_batch),
)
