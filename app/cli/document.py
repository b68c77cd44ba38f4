"""Commands that change the config document, and that show how it came to be what it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial, reduce, wraps
from typing import Any

import click

from app.cli.output import NotYet, json_option, print_json, print_table
from app.cli.reach import Reach, author, reached
from app.config import path
from app.config.editor import Change
from app.pilot.adoption import Adoption, await_adoption

Write = Callable[[Reach, str], Change]


@dataclass(frozen=True, slots=True)
class How:
    """What all commands that write can be told. `wait`, for `timeout` seconds, until every instance has it."""

    wait: bool
    timeout: float
    note: str
    as_json: bool


def write_options(command: Callable[..., None]) -> Callable[..., None]:
    """`--wait`, `--timeout`, `--note` and `--json`, as one argument `how`."""

    @wraps(command)
    def told(wait: bool, timeout: float, note: str, as_json: bool, **rest: Any) -> None:
        command(how=How(wait, timeout, note, as_json), **rest)

    options = (
        click.option("--wait", is_flag=True, help="Return when every instance serves by the change."),
        click.option(
            "--timeout", default=10.0, show_default=True, help="How many seconds to wait.", metavar="SECONDS"
        ),
        click.option("--note", default="", help="Why, for the history."),
        json_option,
    )
    return reduce(lambda decorated, option: option(decorated), reversed(options), told)


def _share(_context: click.Context, _parameter: click.Parameter, text: str) -> float:
    try:
        found = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 1:
        raise click.BadParameter(f"{text!r} is not a share: a number from 0 to 1, or 0% to 100%")
    return found


def _places(_context: click.Context, _parameter: click.Parameter, texts: Sequence[str]) -> list[path.Path]:
    return [_place(text) for text in texts]


def _assignments(
    _context: click.Context, _parameter: click.Parameter, texts: Sequence[str]
) -> list[tuple[path.Path, Any]]:
    return [_assignment(text) for text in texts]


def _assignment(text: str) -> tuple[path.Path, Any]:
    """`PATH=VALUE`, the value as JSON if it is some, else as a text."""
    place, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not of the form PATH=VALUE")
    try:
        return _place(place), json.loads(value)
    except ValueError:
        return _place(place), value


def _place(text: str) -> path.Path:
    try:
        return path.parse(text)
    except ValueError as fault:
        raise click.BadParameter(str(fault)) from None


@click.command()
@click.argument("share", callback=_share, metavar="SHARE")
@write_options
def ratio(share: float, how: How) -> None:
    """Give the canary this SHARE: 0.05, or 5%."""
    _carry_out(partial(_edit, [(("ratio",), share)], ()), how)


@click.command("set")
@click.argument("assignments", callback=_assignments, nargs=-1, metavar="PATH=VALUE...")
@click.option(
    "--remove", callback=_places, multiple=True, metavar="PATH", help="Take a field out; may be repeated."
)
@write_options
def set_(assignments: Sequence[tuple[path.Path, Any]], remove: Sequence[path.Path], how: How) -> None:
    """Change fields of the document, all in one write.

    A PATH is like timeouts.head or stable.servers[0].weight, a VALUE is JSON; what is no JSON is a text.
    What would not be a valid document is not written.
    """
    if not assignments and not remove:
        raise click.UsageError("nothing to set: give PATH=VALUE, or --remove PATH")
    _carry_out(partial(_edit, assignments, remove), how)


@click.command()
@click.argument("revision", type=click.IntRange(min=1))
@write_options
def rollback(revision: int, how: How) -> None:
    """Write the document as it was at REVISION (see `history`) again."""

    def restore(reach: Reach, reason: str) -> Change:
        return reach.editor.restore(revision, author(), reason or f"rollback {revision}")

    _carry_out(restore, how)


@click.command()
@click.option("-n", "count", type=click.IntRange(1, 100), default=20, show_default=True, help="How many.")
@json_option
def history(count: int, as_json: bool) -> None:
    """The document's versions, newest first."""
    with reached() as reach:
        versions = reach.keys.history(reach.editor.key, count)
    if as_json:
        print_json(versions)
        return
    rows = [
        (each["revision"], each["modified"], each["author"], "deleted" if each["deleted"] else each["note"])
        for each in versions
    ]
    print_table(("revision", "written", "by", "note"), rows)


def _edit(
    assignments: Sequence[tuple[path.Path, Any]], remove: Sequence[path.Path], reach: Reach, note: str
) -> Change:
    def edit(document: dict[str, Any]) -> None:
        try:
            for place in remove:
                path.remove(document, place)
            for place, value in assignments:
                path.assign(document, place, value)
        except ValueError as fault:
            raise click.UsageError(str(fault)) from None

    return reach.editor.change(edit, author(), note)


def _carry_out(write: Write, how: How) -> None:
    began = time.monotonic()
    with reached() as reach:
        change = write(reach, how.note)
        adoption = None
        if how.wait:
            written, seconds = change.written, how.timeout
            adoption = await_adoption(reach.keys, reach.service, written, since=began, seconds=seconds)
    if how.as_json:
        print_json(_told(change, adoption))
    else:
        click.echo(_sentence(change, adoption))
    if adoption and not adoption.complete:
        raise NotYet(str(adoption))


def _told(change: Change, adoption: Adoption | None) -> dict[str, Any]:
    etag, revision, changed = change.written
    told: dict[str, Any] = {"etag": etag, "revision": revision, "changed": changed}
    if adoption:
        told |= {
            "complete": adoption.complete,
            "seconds": round(adoption.seconds, 4),
            "instances": adoption.instances,
            "laggards": [{"id": each.id, "name": each.name, "why": each.why} for each in adoption.laggards],
        }
    return told


def _sentence(change: Change, adoption: Adoption | None) -> str:
    revision = change.written.revision
    if not change.written.changed:
        return f"nothing changes: revision {revision} says so already"
    text = f"revision {revision}" + _ratio_change(change)
    return f"{text}, {adoption}" if adoption and adoption.complete else text


def _ratio_change(change: Change) -> str:
    before, after = (document.get("ratio", 0.0) for document in (change.before, change.after))
    return f", ratio {before} → {after}" if before != after else ""
