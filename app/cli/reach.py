"""How a command reaches the config server, and as whom it writes."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from app.config.calls import trusting
from app.config.editor import Editor
from app.config.keys import KeyClient
from app.settings import BadSetting, Settings


@dataclass(frozen=True, slots=True)
class Reach:
    """The config server as the environment names it; `service` is the first part of the document's key."""

    keys: KeyClient
    editor: Editor
    service: str


def settings() -> Settings:
    """What the environment says. Raises BadSetting."""
    return Settings.from_environ(os.environ)


@contextmanager
def reached() -> Iterator[Reach]:
    """For the time of a command. Raises BadSetting."""
    found = settings()
    try:
        session = trusting(found.config_ca)
        keys = KeyClient(found.config_server, found.config_token, limit=5.0, new_session=session)
    except ValueError as fault:
        raise BadSetting(f"CONFIG_SERVER: {fault}") from None
    try:
        yield Reach(keys, Editor(keys, found.config_key), found.service)
    finally:
        keys.close()


def author() -> str:
    """Who writes, for the history."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"
