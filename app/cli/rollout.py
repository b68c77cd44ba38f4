"""`rollout …`: what the pilot can be asked for."""

from __future__ import annotations

import time
from typing import Any, BinaryIO

import click
from requests import RequestException, Session

from app.cli.output import Progress, as_text, json_option, progress
from app.cli.reach import author, settings
from app.errors import CommandRefused, PilotAway
from app.rollout.situation import Command

_PERIOD = 0.5
# Seconds in which another pilot takes over, or the same one starts again.
_PATIENCE = 30.0
# How `watch` ends.
_ENDS = {"done": 0, "rolled_back": 1}


@click.group()
def rollout() -> None:
    """Drive a rollout, by the pilot at PILOT_URL (PILOT_TOKEN, if it asks for one)."""


@rollout.command()
@click.argument("plan", type=click.File("rb"), required=False)
@json_option
def start(plan: BinaryIO | None, as_json: bool) -> None:
    """Start one, with the PLAN in a file ("-": the input) or the default plan."""
    _show(_ask("POST", "/rollout", plan.read() if plan else b"{}"), as_json)


@rollout.command()
@json_option
def status(as_json: bool) -> None:
    """How far it is, and what it waits for."""
    _show(_ask("GET", "/state")["rollout"], as_json)


@rollout.command()
@json_option
def watch(as_json: bool) -> None:
    """Print every change until it ends. The exit status is 0 when it is done, 1 when it was rolled back.

    On a terminal the last line says all the time what it waits for. A pilot that starts again meanwhile is waited for.
    """
    with progress() as shown:
        found = _follow(shown, as_json)
    click.get_current_context().exit(_ENDS[found["state"]] if found else 1)


def _follow(shown: Progress, as_json: bool) -> dict[str, Any] | None:
    """The rollout at its end."""
    found, seen = _ask("GET", "/state")["rollout"], None
    while True:
        now = found and (found["id"], found["state"], found["step"], found["reason"])
        if now != seen or found is None:
            shown.say(_text(found, as_json))
            seen = now
        if found is None or found["state"] in _ENDS:
            ended: dict[str, Any] | None = found
            return ended
        shown.wait(_text(found))
        time.sleep(_PERIOD)
        found = _ask_patiently("/state")["rollout"]


def _ask_patiently(path: str) -> Any:
    """Raises PilotAway when none has answered for _PATIENCE seconds, and CommandRefused."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            return _ask("GET", path)
        except PilotAway:
            if time.monotonic() > end:
                raise
        time.sleep(_PERIOD)


def _command(command: Command) -> click.Command:
    @click.command(command.value, help=_HELP[command])
    @json_option
    def carry_out(as_json: bool) -> None:
        _show(_ask("POST", f"/{command.value}"), as_json)

    return carry_out


_HELP = {
    Command.PAUSE: "Stay at the present share.",
    Command.RESUME: "Begin the present step again.",
    Command.APPROVE: "Let the present step end without waiting for a person.",
    Command.PROMOTE: "Give everybody the canary now.",
    Command.ABORT: "Give nobody the canary.",
    Command.UNDO: "Take a promotion back.",
}
for _each in Command:
    rollout.add_command(_command(_each))


def _ask(method: str, path: str, body: bytes | None = None) -> Any:
    """The answer. Raises CommandRefused and PilotAway."""
    found = settings()
    headers = {"X-Author": author()}
    if found.pilot_token:
        headers["Authorization"] = f"Bearer {found.pilot_token}"
    try:
        with Session() as session:
            session.trust_env = False
            answer = session.request(
                method,
                found.pilot_url + path,
                data=body,
                headers=headers,
                timeout=10.0,
                allow_redirects=False,
            )
            told = answer.json()
    except (RequestException, OSError, ValueError) as fault:
        raise PilotAway(f"the pilot at {found.pilot_url} does not answer ({type(fault).__name__})") from fault
    if not answer.ok:
        raise CommandRefused(str(told.get("detail", answer.status_code)))
    return told


def _show(found: dict[str, Any] | None, as_json: bool) -> None:
    click.echo(_text(found, as_json))


def _text(found: dict[str, Any] | None, as_json: bool = False) -> str:
    if as_json:
        return as_text(found)
    if found is None:
        return "there is no rollout"
    share = f"{found['steps'][found['step']]['ratio'] * 100:.4g} %"
    step = f"step {found['step'] + 1} of {len(found['steps'])}, {share}"
    waits = found.get("waits_for")
    why = f"; waits: {waits['why']}" if waits and found["state"] == "running" else ""
    return f"rollout {found['id']} is {found['state']} ({step}): {found['reason']}{why}"
