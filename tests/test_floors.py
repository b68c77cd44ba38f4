"""Imports only go down, and the two programs meet only on the wire."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# The longest prefix that fits a module names its floor.
FLOORS = {
    "app.errors": 0,
    "app.wire": 0,
    "app.balance": 0,
    "app.balance.health": 2,
    "app.config": 0,
    "app.histogram": 0,
    "app.rollout": 0,
    "app.config.calls": 1,
    "app.config.client": 1,
    "app.config.news": 1,
    "app.access_log": 1,
    "app.clock": 1,
    "app.listener": 1,
    "app.secure_stream": 1,
    "app.stream": 1,
    "app.pipe": 1,
    "app.upstream": 1,
    "app.config.keys": 1,
    "app.config.editor": 1,
    "app.config.current": 2,
    "app.config.last_good": 2,
    "app.config.refresh": 2,
    "app.config.registration": 2,
    "app.proxy": 2,
    "app.admin": 3,
    "app.pilot": 3,
    "app.pilot.__main__": 4,
    "app.certificate": 4,
    "app.cli": 4,
    "app.handshake": 4,
    "app.log": 4,
    "app.settings": 4,
    "app.serve": 4,
    "app.server": 4,
    "app.wsgi": 4,
    "app.worker": 4,
    "app.__main__": 4,
}

# What floor 0 may not know: sockets, clocks, disks, other processes, greenlets.
IMPURE = {
    "gevent",
    "greenlet",
    "requests",
    "werkzeug",
    "socket",
    "_socket",
    "time",
    "os",
    "subprocess",
    "threading",
}


def modules(package: str) -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(part for part in parts if part != "__init__"), path


def imports(path: Path) -> set[str]:
    """The modules that a file imports when it runs; what only type checkers see does not count."""
    tree = ast.parse(path.read_text())
    hidden = {
        node
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    for node in ast.walk(tree):
        if node in hidden:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def floor(module: str) -> int | None:
    fitting = [prefix for prefix in FLOORS if module == prefix or module.startswith(prefix + ".")]
    return FLOORS[max(fitting, key=len)] if fitting else None


APP = dict(modules("app"))


@pytest.mark.parametrize("module", [name for name in APP if name != "app"])
def test_every_module_has_a_floor_and_imports_only_down(module: str) -> None:
    here = floor(module)
    assert here is not None, f"{module} stands on no floor"
    above = {name for name in imports(APP[module]) if name in APP and (floor(name) or 0) > here}
    assert not above


@pytest.mark.parametrize("module", [name for name in APP if floor(name) == 0])
def test_the_rules_are_pure(module: str) -> None:
    assert not {name.partition(".")[0] for name in imports(APP[module])} & IMPURE


@pytest.mark.parametrize(
    ("package", "other"), [("app", "kv"), ("kv", "app"), ("samples", "app"), ("samples", "kv")]
)
def test_the_programs_meet_only_on_the_wire(package: str, other: str) -> None:
    crossing = {
        f"{module} imports {name}"
        for module, path in modules(package)
        for name in imports(path)
        if name.partition(".")[0] == other
    }
    assert not crossing


def test_there_are_no_import_cycles() -> None:
    graph = {
        name: {each for each in imports(path) if each in APP and each != name} for name, path in APP.items()
    }
    while leaves := {name for name, uses in graph.items() if not uses}:
        graph = {name: uses - leaves for name, uses in graph.items() if name not in leaves}
    assert not graph, f"a cycle is among {sorted(graph)}"
