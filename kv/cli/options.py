"""The arguments and options that commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from kv.cli.client import Client, addresses
from kv.errors import BadKey
from kv.model import check_key, check_prefix

Command = Callable[..., None]

_OPAQUE = re.compile(r"[!#-~]+")  # RFC 9110, 8.8.3


class _Addresses(click.ParamType[list[str]]):
    name = "URL[,URL…]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[str]:
        try:
            return addresses(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


class _Key(click.ParamType[str]):
    """A key; with `prefix`, also what ends with a slash, and `/` for every key."""

    name = "key"

    def __init__(self, *, prefix: bool = False) -> None:
        self._prefix = prefix

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            if self._prefix and value.endswith("/"):
                return check_prefix("" if value == "/" else value)
            return check_key(value)
        except BadKey as error:
            self.fail(error.detail, param, ctx)


class _Etag(click.ParamType[str]):
    """An ETag, with its quotes or without, as it stands in a header."""

    name = "etag"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        bare = value.removeprefix('"').removesuffix('"')
        if not _OPAQUE.fullmatch(bare):
            self.fail(f"{value!r} is not an ETag", param, ctx)
        return "*" if bare == "*" else f'"{bare}"'


def _token(_context: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value and not _OPAQUE.fullmatch(value):
        raise click.BadParameter("a token is printable ASCII without spaces")
    return value


KEY = _Key()
KEY_OR_PREFIX = _Key(prefix=True)
ETAG = _Etag()


def asks_server(command: Command) -> Command:
    """Gives a command a Client as its first argument, out of the options every such command has."""

    @click.option(
        "--url",
        type=_Addresses(),
        envvar=["KV_URL", "CONFIG_SERVER"],
        default="http://127.0.0.1:7001",
        show_default=True,
        show_envvar=True,
        help="The config server; of several the first that answers.",
    )
    @click.option(
        "--token",
        envvar="CONFIG_TOKEN",
        show_envvar=True,
        callback=_token,
        help="Bearer token. Other users can read a command line; the environment they cannot.",
    )
    @click.option(
        "--ca",
        type=click.Path(exists=True, dir_okay=False),
        envvar="KV_CA",
        show_envvar=True,
        help="PEM file of the authorities to trust for https.",
    )
    @wraps(command)
    def wrapped(*arguments: Any, url: list[str], token: str | None, ca: str | None, **options: Any) -> None:
        command(Client(url, token, ca), *arguments, **options)

    return wrapped


def signed(command: Command) -> Command:
    """Gives a command that writes `headers`: who writes, why, and under which condition."""

    @click.option("--if-match", type=ETAG, help="Only if this is the ETag in force; * for any.")
    @click.option("--author", default="", help="Who writes, for the history.")
    @click.option("--note", default="", help="Why, for the history.")
    @wraps(command)
    def wrapped(*arguments: Any, if_match: str | None, author: str, note: str, **options: Any) -> None:
        told = {"If-Match": if_match, "X-Author": author, "X-Note": note}
        headers = {name: value.encode() for name, value in told.items() if value}
        command(*arguments, headers=headers, **options)

    return wrapped


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
