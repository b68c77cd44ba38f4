"""The commands that read: get, list, history and watch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

import click

from kv.cli import show
from kv.cli.client import Client, decoded
from kv.cli.events import Event, follow
from kv.cli.options import KEY, KEY_OR_PREFIX, as_json, asks_server


@click.command()
@click.argument("key", type=KEY)
@click.option("--rev", type=click.IntRange(0), metavar="REVISION", help="As of this revision.")
@as_json
@asks_server
def get(client: Client, key: str, rev: int | None, as_json: bool) -> None:
    """Print the document under KEY, byte for byte.

    With --json: an object of key, revision, etag, modified and value.
    """
    answer = client.ask("GET", f"/v1/kv/{key}", params={} if rev is None else {"rev": rev})
    if not as_json:
        click.echo(answer.content, nl=False)
        return
    headers = answer.headers
    told = {
        "key": key,
        "revision": int(headers["X-Revision"]),
        "etag": headers["ETag"].strip('"'),
        "modified": headers["Last-Modified"],
        "value": decoded(answer),
    }
    click.echo(show.compact(told))


@click.command(name="list")
@click.argument("prefix", default="")
@as_json
@asks_server
def list_(client: Client, prefix: str, as_json: bool) -> None:
    """List the keys under PREFIX, all of them without one."""
    items = list(_items(client, prefix))
    click.echo(show.compact(items) if as_json else show.keys(items))


def _items(client: Client, prefix: str) -> Iterator[dict[str, Any]]:
    after: str | None = ""
    path = "/v1/kv/" + KEY_OR_PREFIX.convert(f"{prefix.strip('/')}/", None, None)
    while after is not None:
        page = decoded(client.ask("GET", path, params={"after": after} if after else {}))
        yield from page["items"]
        after = page["next"]


@click.command()
@click.argument("key", type=KEY)
@click.option(
    "--limit", "-n", type=click.IntRange(1, 100), default=20, show_default=True, metavar="N", help="So many."
)
@as_json
@asks_server
def history(client: Client, key: str, limit: int, as_json: bool) -> None:
    """List the versions of KEY, the newest first."""
    versions = decoded(client.ask("GET", f"/v1/kv/{key}", params={"history": limit}))["versions"]
    click.echo(show.compact(versions) if as_json else show.versions(versions))


@click.command()
@click.argument("key", type=KEY_OR_PREFIX)
@click.option("--count", "-n", type=click.IntRange(1), metavar="N", help="End after so many events.")
@as_json
@asks_server
def watch(client: Client, key: str, count: int | None, as_json: bool) -> None:
    """Print what is under KEY, and then a line for every change, until Ctrl-C.

    KEY may be a prefix: `canary/`, or `/` for everything. A lost connection is made again; changes that come faster
    than they can be told show as one.
    """
    try:
        for event in islice(follow(client, f"/v1/kv/{key}", _notice), count):
            told = _told(event, key)
            click.echo(show.compact(told) if as_json else show.change(event.kind, told))
    except KeyboardInterrupt:
        pass


def _told(event: Event, key: str) -> dict[str, Any]:
    data = json.loads(event.data) if event.kind in ("put", "delete") else {}
    if key and not key.endswith("/"):
        data = {"key": key, "etag": event.identity, "value": data}
    return {"event": event.kind, **data}


def _notice(text: str) -> None:
    click.echo(text, err=True)
