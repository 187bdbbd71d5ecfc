"""What the planner makes of the questions that are asked of captured requests."""

import json
from datetime import timedelta
from typing import Any

import pytest

from tests.webhooks import sending
from tests.webhooks.days import DAY, ask, make, midnight, name_of, take_in, today
from tests.webhooks.sending import stored
from webhooks import partitions
from webhooks.models import CapturedRequest, Endpoint
from webhooks.models.captures import CapturedRequestQuerySet

pytestmark = pytest.mark.usefixtures("_days_as_they_were")


@pytest.fixture
def filled() -> Endpoint:
    """Forty inboxes with requests on three days, enough that a look at all of them would show."""
    inboxes = [sending.endpoint(created_at=midnight(-3), expires_at=midnight(3)) for _ in range(40)]
    for days in (2, 1, 0):
        make(today() - days * DAY)
        for hour in range(8):
            take_in(midnight(-days) + timedelta(hours=hour), *[one.pk for one in inboxes] * 20)
    ask(f"ANALYZE {partitions.PARENT}")
    return inboxes[7]


def nodes(page: CapturedRequestQuerySet) -> list[dict[str, Any]]:
    """Every node of a query's plan, the outer ones first."""
    found: list[dict[str, Any]] = []
    left = [json.loads(page.explain(format="json"))[0]["Plan"]]
    while left:
        found.append(left.pop(0))
        left += found[-1].get("Plans", [])
    return found


def test_the_newest_page_reads_the_index_of_each_day_in_order(filled: Endpoint) -> None:
    page = CapturedRequest.objects.of(filled.pk).newest_first().summaries()[:50]
    found = nodes(page)
    scans = [node for node in found if "Scan" in str(node["Node Type"])]
    assert {node["Node Type"] for node in scans} == {"Index Scan"}
    assert len(scans) == len(partitions.partitions())
    # Of the days to come, which are empty, any index does.
    filled_days = {name_of(today() - days * DAY) for days in range(3)}
    of_them = [str(node["Index Name"]) for node in scans if node["Relation Name"] in filled_days]
    assert len(of_them) == 3
    assert all("endpoint_id_id_idx" in name for name in of_them)
    assert not any(node["Node Type"] in ("Sort", "Incremental Sort") for node in found)


def test_a_page_between_two_ids_looks_at_their_days_only(filled: Endpoint) -> None:
    mine = [one.pk for one in stored(filled.pk)]
    first, last = mine[170], mine[300]  # of yesterday
    page = CapturedRequest.objects.of(filled.pk).after(first).before(last).newest_first()[:50]
    scans = [node for node in nodes(page) if "Relation Name" in node]
    assert [node["Relation Name"] for node in scans] == [name_of(today() - DAY)]
    assert len(page) == 50
