"""The limit of capturing: PostgreSQL's own pgbench with one prepared insert of the same row, a commit for each."""

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.instance import Instance
from instantlite.embedded import installation

# An id is of this moment, as those of captures are: the row goes into the partition of today, at the index's end.
_INSERT = """
INSERT INTO webhooks_capturedrequest
    (id, endpoint_id, received_at, method, target, version, content_type, client, size, too_large, headers, body)
VALUES (webhooks_uuid7((date_part('epoch', clock_timestamp()) * 1000000)::bigint), '{endpoint}', now(), 'POST',
    '/webhook/receive/0123456789abcdef0123456789abcdef', '1.1', 'application/json', '127.0.0.1', {length}, false,
    '[["Host", "127.0.0.1:8000"], ["Content-Type", "application/json"], ["Content-Length", "{length}"]]',
    '\\x{body}');
"""


@dataclass(frozen=True)
class Inserted:
    """`rate`: commits a second; `latency`: their mean in milliseconds."""

    rate: float
    latency: float


def program() -> Path | None:
    """pgbench of the wheel, of PATH, or of a Debian package; None where there is none."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"), reverse=True)
    found = [installation(18) / "pgbench", Path(shutil.which("pgbench") or "/nowhere"), *debian]
    return next((path for path in found if os.access(path, os.X_OK)), None)


def run(pgbench: Path, instance: Instance, clients: int, seconds: float, content: bytes) -> Inserted:
    """Inserts for so long, over so many connections."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as script:
        endpoint = "019ab5f0-0000-7000-8000-000000000001"
        statement = _INSERT.format(endpoint=endpoint, length=len(content), body=content.hex())
        script.write(" ".join(statement.split()) + "\n")
        script.flush()
        command = [
            str(pgbench),
            "-n",
            "-M",
            "prepared",
            f"-c{clients}",
            "-j1",
            f"-T{round(seconds)}",
            "-f",
            script.name,
        ]
        said = subprocess.run(
            [*command, instance.urls.platform], capture_output=True, text=True, check=True, timeout=seconds + 60
        ).stdout
    return Inserted(_number(r"tps = ([0-9.]+)", said), _number(r"latency average = ([0-9.]+)", said))


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    assert found, text
    return float(found[1])
