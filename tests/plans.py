"""How PostgreSQL would answer a statement."""

import json
from typing import Any

from django.db import connection


def nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """A plan and all that is inside it."""
    return [plan, *(node for inner in plan.get("Plans", []) for node in nodes(inner))]


def explain(sql: str, *options: str) -> list[dict[str, Any]]:
    """The nodes of a statement's plan; with the option ANALYZE, as it went."""
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({', '.join(('FORMAT JSON', *options))}) {sql}")
        (found,) = cursor.fetchone() or ("[]",)
    return nodes((json.loads(found) if isinstance(found, str) else found)[0]["Plan"])
