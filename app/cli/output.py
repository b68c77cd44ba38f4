"""What commands print: JSON for programs, tables for people at a terminal, plain lines into a pipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click
from rich import box
from rich.console import Console
from rich.table import Table

from app.errors import SerinError

Command = TypeVar("Command", bound=Callable[..., Any])


class NotYet(SerinError):
    """A change is written, but not every instance serves by it."""

    reason = "not_yet"


def json_option(command: Command) -> Command:
    """`--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def print_json(data: Any) -> None:
    """One value, indented."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A head and rows: drawn on a terminal, else aligned by blanks. Nothing is printed without rows."""
    if not rows:
        return
    texts = [["–" if cell is None else str(cell) for cell in row] for row in rows]
    console = Console(highlight=False)
    if console.is_terminal:
        console.print(_drawn(columns, texts))
    else:
        for line in _aligned([list(columns), *texts]):
            click.echo(line)


def _drawn(columns: Sequence[str], rows: list[list[str]]) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
