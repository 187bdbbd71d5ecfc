"""The direction of imports that design.md draws. Read from the source, so that an import in a function counts too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
APPS = {"provisioning", "webhooks", "ratelimit"}
# The two files of the project that put it together.
ASSEMBLY = {"instantlite/urls.py", "instantlite/settings.py"}


def sources() -> list[Path]:
    folders = [PROJECT / name for name in ("instantlite", *sorted(APPS))]
    return [path for folder in folders for path in folder.rglob("*.py") if "migrations" not in path.parts]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def app_of(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_imports_point_one_way(path: Path) -> None:
    place = str(path.relative_to(PROJECT))
    reached = {app_of(name) for name in imported(path)} & APPS
    allowed = {
        "instantlite": APPS if place in ASSEMBLY else set(),
        "ratelimit": {"ratelimit"},
        "provisioning": {"provisioning", "ratelimit"},
        "webhooks": {"webhooks", "ratelimit"},
    }[path.relative_to(PROJECT).parts[0]]
    assert reached <= allowed, f"{place} imports {sorted(reached - allowed)}"


@pytest.mark.parametrize(
    "leaf", ["postgres", "connections", "redis", "redis_server", "grants", "credentials", "servers"]
)
def test_what_speaks_to_a_server_knows_no_models(leaf: str) -> None:
    names = set(imported(PROJECT / "provisioning" / f"{leaf}.py"))
    assert not {name for name in names if name.startswith(("provisioning.models", "django.db"))}


def test_there_is_no_cycle() -> None:
    graph = {module(path): set(internal(path)) for path in sources()}
    finished: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above[above.index(name) :], name))
        if name in finished:
            return
        for other in graph.get(name, ()):
            visit(other, (*above, name))
        finished.add(name)

    for name in graph:
        visit(name, ())


def module(path: Path) -> str:
    name = ".".join(path.relative_to(PROJECT).with_suffix("").parts)
    return name.removesuffix(".__init__")


def internal(path: Path) -> Iterator[str]:
    known = {module(source) for source in sources()}
    for name in imported(path):
        if name in known and name != module(path) and not _is_own_package(name, path):
            yield name


def _is_own_package(name: str, path: Path) -> bool:
    """`from package import module` names the package too, whose __init__ is what imports the module."""
    return module(path).startswith(f"{name}.")
