"""`rollout …`: what the pilot can be asked for."""

from __future__ import annotations

import time
from typing import Any, BinaryIO

import click
from requests import RequestException, Session

from app.cli.output import json_option, print_json
from app.cli.reach import author, settings
from app.errors import CommandRefused, PilotAway
from app.rollout.situation import Command

_PERIOD = 0.5
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
    """Print every change until it ends. The exit status is 0 when it is done, 1 when it was rolled back."""
    seen = None
    while True:
        found = _ask("GET", "/state")["rollout"]
        now = found and (found["state"], found["step"], found["reason"])
        if now != seen:
            _show(found, as_json)
            seen = now
        if found is None or found["state"] in _ENDS:
            click.get_current_context().exit(_ENDS[found["state"]] if found else 1)
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
    if as_json:
        print_json(found)
    elif found is None:
        click.echo("there is no rollout")
    else:
        share = f"{found['steps'][found['step']]['ratio'] * 100:.4g} %"
        step = f"step {found['step'] + 1} of {len(found['steps'])}, {share}"
        waits = found.get("waits_for")
        why = f"; waits: {waits['why']}" if waits and found["state"] == "running" else ""
        click.echo(f"rollout {found['id']} is {found['state']} ({step}): {found['reason']}{why}")
