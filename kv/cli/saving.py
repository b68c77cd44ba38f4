"""The commands about the store as a whole: backup, over HTTP, and restore and copy, into one that nobody serves."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
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
from kv.model import Item
from kv.settings import Settings, shown

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

    The file is checked from end to end before anything is touched. An etcd gives revisions of its own.
    """
    engine, told = _lasting(store), _checked(file)
    with _explained():
        _fill(engine, told, told.revision, force)
    _tell(shown(store), told, "restored", as_json)


@click.command()
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option("--force", is_flag=True, help="Even if TO holds something: that goes, history and all.")
@as_json
def copy(source: str, target: str, force: bool, as_json: bool) -> None:
    """Copy all that a store holds, with every version, into another: from SQLite to etcd, or back.

    Both are written as in KV_STORE, and no server may be using them. Keys with a ttl are not copied. An etcd gives
    revisions of its own, so ETags change on the way there, and stay what they are on the way back.
    """
    if source == target:
        raise click.UsageError("FROM and TO are the same store")
    old, new = _lasting(source), _lasting(target)
    with _explained():
        with closing(old):
            revision = old.open()
            items = list(old.backup())
        _fill(new, items, revision, force)
    _tell(shown(target), _Copied(items, revision), "copied", as_json)


@dataclass(frozen=True, slots=True)
class _Copied:
    """What there is to tell of it."""

    items: list[Item]
    revision: int

    @property
    def keys(self) -> int:
        return len({item.key for item in self.items})

    @property
    def versions(self) -> int:
        return len(self.items)


def _lasting(store: str) -> Engine:
    if store.startswith("memory:"):
        raise click.UsageError("a store in memory keeps nothing: name another one")
    try:
        return engine_from(store)
    except BadSetting as error:
        raise click.UsageError(error.detail) from error


@contextmanager
def _explained() -> Iterator[None]:
    """What engines raise, as commands end."""
    try:
        yield
    except KvError as error:
        raise Refused(error.detail) from error


def _fill(engine: Engine, items: Iterable[Item], revision: int, force: bool) -> None:
    with closing(engine):
        engine.open()
        if not force and any(True for _ in engine.backup()):
            raise Refused("the store is not empty; --force replaces all that it holds")
        engine.restore(items, revision)


def _checked(file: IO[bytes]) -> Backup:
    backup = Backup(file)
    try:
        backup.check()
    except BadBackup as error:
        raise Refused(f"this is no whole backup: {error.detail}") from error
    return backup


def _tell(place: object, told: Backup | _Copied, done: str, as_json: bool) -> None:
    summary = {"keys": told.keys, "versions": told.versions, "revision": told.revision}
    if as_json:
        click.echo(show.compact(summary))
    else:
        click.echo(f"{place}: {done} {told.versions} versions of {told.keys} keys, revision {told.revision}")
