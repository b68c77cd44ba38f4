"""The commands that write: put, delete and rollback."""

from __future__ import annotations

import sys
from typing import BinaryIO

import click

from kv.cli import show
from kv.cli.client import Client, decoded
from kv.cli.options import KEY, as_json, asks_server, signed

Headers = dict[str, bytes]


@click.command()
@click.argument("key", type=KEY)
@click.argument("document", required=False)
@click.option(
    "--file",
    "-f",
    type=click.File("rb"),
    metavar="FILE",
    help="The file that holds the document; - for standard input.",
)
@click.option("--if-absent", is_flag=True, help="Only if there is nothing under KEY.")
@signed
@as_json
@asks_server
def put(
    client: Client,
    key: str,
    document: str | None,
    *,
    file: BinaryIO | None,
    if_absent: bool,
    headers: Headers,
    as_json: bool,
) -> None:
    """Store DOCUMENT, a JSON text, under KEY. Without it and --file: what comes on standard input."""
    if if_absent and "If-Match" in headers:
        raise click.UsageError("--if-absent and --if-match cannot both hold")
    if if_absent:
        headers["If-None-Match"] = b"*"
    headers["Content-Type"] = b"application/json"
    _write(client, "PUT", key, headers, as_json, data=_body(document, file))


def _body(document: str | None, file: BinaryIO | None) -> bytes:
    if document is not None and file is not None:
        raise click.UsageError("give DOCUMENT or --file, not both")
    if document is not None:
        return document.encode(errors="surrogateescape")
    if file is None and sys.stdin.isatty():
        raise click.UsageError("give DOCUMENT or --file, or the document on standard input")
    return (file or sys.stdin.buffer).read()


@click.command()
@click.argument("key", type=KEY)
@signed
@as_json
@asks_server
def delete(client: Client, key: str, headers: Headers, as_json: bool) -> None:
    """Delete the document under KEY. Its versions stay in the history."""
    _write(client, "DELETE", key, headers, as_json)


@click.command()
@click.argument("key", type=KEY)
@click.argument("revision", type=click.IntRange(0))
@signed
@as_json
@asks_server
def rollback(client: Client, key: str, revision: int, headers: Headers, as_json: bool) -> None:
    """Store under KEY once more what it held as of REVISION."""
    _write(client, "PUT", key, headers, as_json, params={"from": revision})


def _write(
    client: Client,
    method: str,
    key: str,
    headers: Headers,
    as_json: bool,
    *,
    params: dict[str, int] | None = None,
    data: bytes | None = None,
) -> None:
    answer = decoded(client.ask(method, f"/v1/kv/{key}", headers=headers, params=params, data=data))
    click.echo(show.compact(answer) if as_json else show.written(answer))
