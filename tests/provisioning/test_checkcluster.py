"""`manage.py checkcluster` on every version: content with a good cluster; of a bad one it says what mends it."""

import io
from collections.abc import Callable

import psycopg
import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from instantlite.config import ClusterConfig
from provisioning import checks, connections
from tests.provisioning.conftest import Cluster

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def configured(cluster: Cluster, settings: Settings) -> Cluster:
    settings.CLUSTERS = {cluster.config.name: cluster.config}
    return cluster


def test_a_good_cluster_lacks_nothing(configured: Cluster) -> None:
    lacking = [finding.says for finding in checks.check(configured.config.name) if not finding.good]
    if configured.version == 15:  # Debian's package of 15 has no pgvector
        assert lacking[0] == "extension vector is not installed on the server; tenants go without it"
        lacking = [line for line in lacking if "extension vector" not in line]
    assert lacking == []


def test_what_it_prints_mends_the_cluster(configured: Cluster, settings: Settings) -> None:
    """A role without rights on a cluster that is open to all: run the SQL, and it is as good as ours."""
    name = configured.config.name
    with psycopg.connect(configured.urls.superuser, autocommit=True) as admin:
        admin.execute("CREATE ROLE weak LOGIN PASSWORD 'weak'; GRANT CONNECT ON DATABASE postgres TO weak")
        admin.execute("GRANT CONNECT, TEMPORARY ON DATABASE postgres, template1, instantlite TO PUBLIC")
    address = configured.config
    weak = ClusterConfig(
        name=name,
        url=f"postgresql://weak:weak@{address.public_host}:{address.public_port}/postgres",
        public_host=address.public_host,
        public_port=address.public_port,
    )
    settings.CLUSTERS = {name: weak}
    settings.INSTANTLITE = _without_extensions(settings.INSTANTLITE)
    try:
        findings = list(checks.check(name))
        lacking = [finding for finding in findings if not finding.good]
        assert [finding.says for finding in lacking][:5] == [
            "role weak lacks CREATEDB, to make databases",
            "role weak lacks CREATEROLE, to make tenants' roles",
            "every tenant may connect to database instantlite",
            "every tenant may connect to database postgres",
            "every tenant may connect to database template1",
        ]
        with psycopg.connect(configured.urls.superuser, autocommit=True) as admin:
            for finding in lacking:
                if finding.sql:
                    admin.execute(finding.sql)
        assert [finding.says for finding in checks.check(name) if not finding.good] == []
    finally:
        connections.close_all()
        with psycopg.connect(configured.urls.superuser, autocommit=True) as admin:
            for (database,) in admin.execute("SELECT datname FROM pg_database WHERE datname ~ '^il_'").fetchall():
                admin.execute(f"ALTER DATABASE {database} ALLOW_CONNECTIONS true")
                admin.execute(f"DROP DATABASE {database}")
            admin.execute("DROP OWNED BY weak")
            admin.execute("REVOKE CONNECT ON DATABASE instantlite, template1 FROM weak; DROP ROLE weak")


def _without_extensions(config: object) -> object:
    from dataclasses import replace  # noqa: PLC0415 — one use
    from typing import Any, cast  # noqa: PLC0415 — one use

    whole = cast(Any, config)
    return replace(whole, postgres=replace(whole.postgres, extensions=()))


def test_a_superuser_is_said_to_be_more_than_needed(configured: Cluster, settings: Settings) -> None:
    settings.CLUSTERS = {"v": ClusterConfig(name="v", url=configured.urls.superuser)}
    says = [finding.says for finding in checks.check("v") if not finding.good]
    assert "role postgres is a superuser" in says[0]


def test_a_cluster_that_does_not_answer_is_said_to(settings: Settings) -> None:
    settings.CLUSTERS = {"away": ClusterConfig(name="away", url="postgresql://x:secret@127.0.0.1:1/postgres")}
    findings = list(checks.check("away"))
    assert len(findings) == 1
    assert findings[0].says.startswith("does not answer: ")
    assert "secret" not in findings[0].says


def test_the_command_reports_and_its_status_tells(settings: Settings, clusters: Callable[[int], Cluster]) -> None:
    good = clusters(18)
    settings.CLUSTERS = {good.config.name: good.config}
    out = io.StringIO()
    call_command("checkcluster", stdout=out)
    assert "LACKS" not in out.getvalue()
    assert "a tenant can log in at" in out.getvalue()
    with pytest.raises(CommandError, match=r"no such cluster in the configuration \(there are: v18\)"):
        call_command("checkcluster", "nowhere")
    with psycopg.connect(good.urls.superuser, autocommit=True) as admin:
        admin.execute("GRANT CONNECT ON DATABASE postgres TO PUBLIC")
        with pytest.raises(CommandError, match="something is missing"):
            call_command("checkcluster", stdout=out)
        admin.execute("REVOKE CONNECT ON DATABASE postgres FROM PUBLIC")
    assert "REVOKE CONNECT, TEMPORARY ON DATABASE postgres FROM PUBLIC;" in out.getvalue()
