"""The command that makes a token. It asks no server."""

from __future__ import annotations

import json

import click

from kv import tokens
from kv.cli import show
from kv.cli.options import KEY_OR_PREFIX, as_json
from kv.errors import KvError


@click.command()
@click.argument("name")
@click.option(
    "--read", type=KEY_OR_PREFIX, multiple=True, help="May read this key, or all under this prefix."
)
@click.option(
    "--write", type=KEY_OR_PREFIX, multiple=True, help="May write it; to read it as well is another right."
)
@as_json
def token(name: str, read: tuple[str, ...], write: tuple[str, ...], as_json: bool) -> None:
    """Make a token called NAME, and its entry for the file that KV_TOKENS names.

    Both options may be given several times: canary/config is a key, canary/ a prefix, and / stands for all keys. The
    token is shown this once and stored nowhere; the entry has its digest only.
    """
    try:
        secret, entry = tokens.make(name, read, write)
    except KvError as error:
        raise click.UsageError(error.detail) from error
    if as_json:
        click.echo(show.compact({"token": secret, "entry": entry}))
    else:
        click.echo(f"token:  {secret}\nentry:  {json.dumps(entry)}")
