from dataclasses import dataclass
from pathlib import Path
@dataclass(frozen=True)
class Urls:
    platform: str; customer: str; superuser: str
def urls(data_dir: Path) -> Urls | None: return None
