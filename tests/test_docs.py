"""What a reader of the docs may rely on: nothing is missing in them, and no link leads nowhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.settings import Settings
from app.upstream.connection import _REASONS
from app.wire.fault import _FIELD_FAULTS
from docs.commands import commands_page
from kv.cli import main as kv

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
FAULTS = {"WireError", "UpstreamError", "Overloaded", "refuse"}
_WORD = re.compile(r"[a-z][a-z0-9_]+")
_LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")


def text(page: str) -> str:
    return (ROOT / page).read_text()


def reasons() -> Iterator[str]:
    """Every reason that a refusal or a failure may have, as the sources have it."""
    yield from _REASONS.values()
    yield from (reason for _, reason, _ in _FIELD_FAULTS)
    for source in (ROOT / "app").rglob("*.py"):
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Call) and _name(node.func) in FAULTS:
                yield from _words(node)


def _name(function: ast.expr) -> str:
    return getattr(function, "id", "") or getattr(function, "attr", "")


def _words(call: ast.Call) -> Iterator[str]:
    """The first text among the arguments, which may be a choice between two."""
    for argument in call.args:
        found = [
            node.value
            for node in ast.walk(argument)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
        ]
        if found:
            yield from filter(_WORD.fullmatch, found)
            return


def test_the_reasons_are_found():
    assert {"bad_host", "head_timeout", "head_cut", "closed_in_head", "tls_handshake"} <= set(reasons())


@pytest.mark.parametrize("reason", sorted(set(reasons())))
def test_every_reason_is_explained(reason):
    rows = [line.split("|")[1] for line in text("docs/http.md").splitlines() if line.startswith("| ")]
    assert any(reason in re.split(r"[ ,]+", row) for row in rows)


def variables() -> set[str]:
    """What the environment may say to either program."""
    proxy = {name.upper() for name in Settings.__slots__}
    return proxy | set(re.findall(r'"(KV_[A-Z]+)"', text("kv/settings.py")))


@pytest.mark.parametrize("name", sorted(variables()))
def test_every_variable_is_explained(name):
    rows = [line.split("|")[1] for line in text("docs/running.md").splitlines() if line.startswith("| ")]
    assert any(name in re.split(r"[ ,]+", row) for row in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in _LINK.findall(page.read_text()):
        assert (page.parent / target).exists(), target


def test_every_command_is_explained():
    """The page is generated, and so cannot be wrong when it is fresh."""
    assert text("docs/commands.md") == commands_page(kv)
