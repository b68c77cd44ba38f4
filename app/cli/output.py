"""What commands print: JSON for programs, tables for people at a terminal, plain lines into a pipe."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from app.errors import SerinError

Command = TypeVar("Command", bound=Callable[..., Any])


class NotYet(SerinError):
    """A change is written, but not every instance serves by it."""

    reason = "not_yet"


def json_option(command: Command) -> Command:
    """`--json`, as `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def as_text(data: Any) -> str:
    """One JSON value, indented."""
    return json.dumps(data, indent=2, ensure_ascii=False)


def print_json(data: Any) -> None:
    """One value, indented."""
    click.echo(as_text(data))


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


@dataclass(frozen=True, slots=True)
class Progress:
    """Lines that stay; on a terminal, where there is a status, below them what is waited for."""

    console: Console
    status: Status | None

    def say(self, text: str) -> None:
        """A line that stays."""
        if self.status:
            self.console.print(text, markup=False, soft_wrap=True)
        else:
            click.echo(text)

    def wait(self, text: str) -> None:
        """What is waited for from now on."""
        if self.status:
            self.status.update(escape(text))


@contextmanager
def progress() -> Iterator[Progress]:
    """For as long as something goes on."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield Progress(console, None)
        return
    with console.status("") as status:
        yield Progress(console, status)


def _drawn(columns: Sequence[str], rows: list[list[str]]) -> Table:
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in rows:
        table.add_row(*row)
    return table


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
