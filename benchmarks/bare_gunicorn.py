"""gunicorn's settings for bare.py: all of the service's own, without the housekeeping that it starts in each worker."""

import runpy
from pathlib import Path

_service = runpy.run_path(str(Path(__file__).resolve().parent.parent / "gunicorn.conf.py"))
globals().update(
    {
        name: value
        for name, value in _service.items()
        if name[0] != "_" and name not in ("post_worker_init", "worker_exit")
    }
)
