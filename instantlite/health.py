"""Probes: livez (the process answers), readyz (it can serve; says which part cannot), healthz (who is there)."""

from django.db import Error, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from instantlite import redislink

_migrated = False


@csrf_exempt
@require_safe
def livez(request: HttpRequest) -> JsonResponse:
    """200 while the process answers; asks nobody else."""
    return JsonResponse({"ok": True})


@csrf_exempt
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """For people and for load balancers that only look for a 200."""
    return JsonResponse({"ok": True, "service": "instantlite"})


@csrf_exempt
@require_safe
def readyz(request: HttpRequest) -> JsonResponse:
    """200 when requests can be served, else 503; `checks` says which part cannot, in words.

    `degraded`: a part is missing that others stand in for. That is no reason to take an instance out of service.
    """
    checks = {"database": _database()}
    checks["migrations"] = _migrations() if checks["database"] == "ok" else "not checked"
    ready = all(state == "ok" for state in checks.values())
    if redislink.link.configured:
        checks["redis"] = redislink.link.check()
    degraded = checks.get("redis", "ok") != "ok"
    return JsonResponse({"ok": ready, "degraded": degraded, "checks": checks}, status=200 if ready else 503)


def _database() -> str:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return "does not answer"
    return "ok"


def _migrations() -> str:
    """Looked up until all are applied; they do not become unapplied under a running process."""
    global _migrated  # noqa: PLW0603 — one fact per process, and it only ever becomes true
    if not _migrated:
        executor = MigrationExecutor(connection)
        missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
        if missing:
            return f"{len(missing)} not applied; run manage.py migrate"
        _migrated = True
    return "ok"
