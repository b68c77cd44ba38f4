"""The command line: without a command the proxy itself, with one an operator's means to look and to change.

A command is in a module beside this one, and stands in COMMANDS. What goes wrong is an error of ours; what a
script learns of it is the exit status, and the table of these is EXITS.
"""

from __future__ import annotations

import os
from typing import Any

import click

from app import serve
from app.cli.check import check
from app.cli.document import history, ratio, rollback, set_
from app.cli.output import NotYet
from app.cli.rollout import rollout
from app.cli.status import status
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError, PilotAway, SerinError
from app.settings import BadSetting

# What a script learns of how a command ended.
EXITS = {
    0: "done",
    1: "refused: not valid, not there, not now, or somebody else was quicker; a rollout was rolled back",
    2: "wrong usage, or a wrong setting in the environment; nothing was asked",
    3: "no config server or pilot answers, or none that can do it now",
    4: "it is written, but not every instance serves by it yet",
}
# The first that fits counts.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (BadSetting, 2),
    (ConfigConflict, 1),
    (ConfigMissing, 1),
    (ConfigServerError, 3),
    (PilotAway, 3),
    (NotYet, 4),
    (SerinError, 1),
)
COMMANDS: tuple[click.Command, ...] = (check, status, ratio, set_, history, rollback, rollout)


class Commands(click.Group):
    """A group whose commands may raise our errors."""

    def invoke(self, context: click.Context) -> Any:
        """Run the command; an error of ours becomes a line on stderr and an exit status."""
        try:
            return super().invoke(context)
        except (SerinError, BadSetting) as error:
            click.echo(f"Error: {error}", err=True)
            return context.exit(next(status for kind, status in _STATUS if isinstance(error, kind)))


@click.group(
    cls=Commands,
    commands=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.pass_context
def main(context: click.Context) -> None:
    """Serin's proxy. Without a command it serves, as the environment says; so does `run`.

    The other commands find the config server by CONFIG_SERVER, CONFIG_KEY and CONFIG_TOKEN, the pilot by PILOT_URL.
    """
    if context.invoked_subcommand is None:
        context.exit(serve.run(os.environ))


@main.command()
@click.pass_context
def run(context: click.Context) -> None:
    """Serve until told to stop."""
    context.exit(serve.run(os.environ))
