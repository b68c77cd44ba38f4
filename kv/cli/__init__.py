"""The command line: without a command the config server itself, with one a client of a running server.

The commands stand in the modules beside this one, and in COMMANDS in the order in which they are explained.
"""

from __future__ import annotations

import os

import click

from kv import serve
from kv.cli.reading import get, history, list_, watch
from kv.cli.saving import backup, copy, restore
from kv.cli.token import token
from kv.cli.writing import delete, put, rollback

COMMANDS: tuple[click.Command, ...] = (
    get,
    put,
    delete,
    list_,
    history,
    rollback,
    watch,
    backup,
    restore,
    copy,
    token,
)


@click.group(
    commands=COMMANDS, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--insecure", is_flag=True, help="Listen beyond loopback without tokens, open to everyone there."
)
@click.option(
    "--require-preconditions",
    is_flag=True,
    help="Take no write that has no condition (KV_REQUIRE_PRECONDITIONS=on).",
)
@click.pass_context
def main(context: click.Context, insecure: bool, require_preconditions: bool) -> None:
    """Serin's config server. Without a command: serve, as KV_HOST, KV_PORT, KV_STORE and the other variables say."""
    if context.invoked_subcommand is None:
        status = serve.run(os.environ, conditional=require_preconditions, insecure=insecure)
        context.exit(status)
