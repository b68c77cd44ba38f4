"""What was asked of a system, what was seen of it, and whether that holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.results import markdown

COLUMNS = ("what", "asked", "seen", "holds")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the table."""

    what: str
    asked: str
    seen: str
    holds: bool


def table(findings: Sequence[Finding]) -> str:
    """All of them, in Markdown."""
    rows = [(each.what, each.asked, each.seen, "yes" if each.holds else "**no**") for each in findings]
    return markdown(COLUMNS, rows)
