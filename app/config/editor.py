"""Changes to the config document that are checked before they are written, and lose nobody else's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from app.config.keys import KeyClient, Stored, Write, Written
from app.config.schema import load, parse
from app.config.strict_json import loads
from app.errors import ConfigConflict, InvalidConfig

# So often a change is made anew because somebody else's came between.
_TRIES = 5
Edit = Callable[[dict[str, Any]], None]


class Change(NamedTuple):
    """What was there before, as decoded JSON, what is there now, and where that has been written."""

    before: dict[str, Any]
    after: dict[str, Any]
    written: Written


class Editor:
    """The document under `key`."""

    def __init__(self, keys: KeyClient, key: str) -> None:
        self._keys = keys
        self.key = key

    def read(self) -> tuple[Stored, dict[str, Any]]:
        """As stored, and decoded. Raises ConfigMissing, and InvalidConfig when it is no JSON object."""
        stored = self._keys.get(self.key)
        return stored, _decoded(stored.raw)

    def replace(self, raw: bytes, how: Write) -> Written:
        """Write a whole document. Raises InvalidConfig, and ConfigConflict as KeyClient.put does."""
        parse(raw)
        return self._keys.put(self.key, raw, how)

    def change(self, edit: Edit, author: str, note: str, etag: str | None = None) -> Change:
        """Let `edit` change the document in force, and write what becomes of it; again if somebody else was quicker.

        `etag`: change no other document than this. Raises InvalidConfig when what becomes of it is none;
        ConfigConflict when somebody is quicker every time, or has been.
        """
        for _ in range(0 if etag else _TRIES - 1):
            try:
                return self._change(edit, author, note)
            except ConfigConflict:
                continue
        return self._change(edit, author, note, etag)

    def restore(self, revision: int, author: str, note: str, etag: str | None = None) -> Change:
        """Write again what was there at a revision; `etag`: in place of nothing else than this.

        Raises ConfigMissing, InvalidConfig and ConfigConflict.
        """
        stored, before = self._read_if(etag)
        former = self._keys.get(self.key, revision)
        parse(former.raw)
        how = Write(stored.etag, author=author, note=note)
        return Change(before, _decoded(former.raw), self._keys.restore(self.key, revision, how))

    def _change(self, edit: Edit, author: str, note: str, etag: str | None = None) -> Change:
        stored, before = self._read_if(etag)
        after = _decoded(stored.raw)
        edit(after)
        load(after)
        raw = (json.dumps(after, indent=2, ensure_ascii=False) + "\n").encode()
        if after == before:
            return Change(before, after, Written(stored.etag, stored.revision, changed=False))
        return Change(before, after, self._keys.put(self.key, raw, Write(stored.etag, None, author, note)))

    def _read_if(self, etag: str | None) -> tuple[Stored, dict[str, Any]]:
        stored, document = self.read()
        if etag not in (None, stored.etag):
            raise ConfigConflict("another document is in force", stored.etag)
        return stored, document


def _decoded(raw: bytes) -> dict[str, Any]:
    try:
        data = loads(raw)
    except ValueError as fault:
        raise InvalidConfig({"": f"is not JSON: {fault}"}) from None
    if not isinstance(data, dict):
        raise InvalidConfig({"": "is not an object"})
    return data
