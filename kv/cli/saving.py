"""The commands about the store as a whole: backup, over HTTP, and restore, into a store that nobody serves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import click
from requests import RequestException

from kv.backup import Backup
from kv.cli import show
from kv.cli.client import Client
from kv.cli.failure import Refused, Unreachable
from kv.cli.options import as_json, asks_server
from kv.engine import engine_from
from kv.engine.base import Engine
from kv.errors import BadBackup, BadSetting, KvError
from kv.settings import Settings

PATIENCE = 600.0
_BLOCK = 256 * 1024


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
@asks_server
def backup(client: Client, file: Path, as_json: bool) -> None:
    """Save everything a server keeps, with all versions, as FILE.

    It is of one moment, while the server goes on. What is in FILE already is replaced once the new one is whole.
    Keys with a ttl are not in it.
    """
    with _replacing(file) as new:
        answer = client.ask("GET", "/-/backup", stream=True, patience=PATIENCE)
        try:
            for block in answer.iter_content(_BLOCK):
                new.write(block)
        except RequestException as error:
            raise Unreachable("the connection was lost before the backup was whole") from error
        told = _checked(new)
    _tell(file, told, "saved", as_json)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes the place of `path`, durably, unless something is raised."""
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as new:
            try:
                yield new
                new.flush()
                os.fsync(new.fileno())
                Path(new.name).replace(path)
            except BaseException:
                Path(new.name).unlink()
                raise
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error


@click.command()
@click.argument("file", type=click.File("rb"))
@click.option(
    "--store",
    envvar="KV_STORE",
    default=Settings().store,
    show_envvar=True,
    show_default=True,
    metavar="STORE",
    help="The store, which no server may be using.",
)
@click.option("--force", is_flag=True, help="Even if the store holds something: that goes, history and all.")
@as_json
def restore(file: IO[bytes], store: str, force: bool, as_json: bool) -> None:
    """Fill a store with what a backup, FILE, holds: every version, with its revision and its ETag.

    The file is checked from end to end before anything is touched.
    """
    if store.startswith("memory:"):
        raise click.UsageError("a store in memory keeps nothing: give --store or KV_STORE")
    told = _checked(file)
    try:
        _fill(engine_from(store), told, force)
    except BadSetting as error:
        raise click.UsageError(error.detail) from error
    except KvError as error:
        raise Refused(error.detail) from error
    _tell(store, told, "restored", as_json)


def _fill(engine: Engine, content: Backup, force: bool) -> None:
    with closing(engine):
        engine.open()
        if not force and any(True for _ in engine.backup()):
            raise Refused("the store is not empty; --force replaces all that it holds")
        engine.restore(content, content.revision)


def _checked(file: IO[bytes]) -> Backup:
    backup = Backup(file)
    try:
        backup.check()
    except BadBackup as error:
        raise Refused(f"this is no whole backup: {error.detail}") from error
    return backup


def _tell(place: object, told: Backup, done: str, as_json: bool) -> None:
    summary = {"keys": told.keys, "versions": told.versions, "revision": told.revision}
    if as_json:
        click.echo(show.compact(summary))
    else:
        click.echo(f"{place}: {done} {told.versions} versions of {told.keys} keys, revision {told.revision}")
