"""A backup as a file: JSON lines, the first one saying what it is, one for each version, the last one closing it.

The same for every engine, so that one's backup can be restored into another. Knows no engine, no HTTP.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from types import NoneType
from typing import IO, Any

from kv import document
from kv.errors import BadBackup, BadDocument, BadKey
from kv.model import SCHEMAS, Item, Meta, check_key, check_scope, make_item

FORMAT = 1
LINE_BYTES = 4 * 1024 * 1024
_MEMBERS: dict[str, tuple[type, ...]] = {
    "key": (str,),
    "revision": (int,),
    "version": (int,),
    "modified": (int, float),
    "author": (str,),
    "note": (str,),
    "etag": (str,),
    "value": (str, NoneType),
}


def write(items: Iterable[Item], revision: int, created: float, file: IO[bytes]) -> None:
    """A backup of `items`, ordered by key and revision. `created`: Unix time in seconds.

    `revision`: the store's before the first of `items` was asked for.
    """
    digest, count, newest = hashlib.sha256(), 0, revision

    def put(line: dict[str, Any]) -> None:
        raw = json.dumps(line, ensure_ascii=False).encode() + b"\n"
        digest.update(raw)
        file.write(raw)

    put({"backup": FORMAT, "created": created})
    for item in items:
        put(_line(item))
        count, newest = count + 1, max(newest, item.version.revision)
    put({"revision": newest, "versions": count, "sha256": digest.hexdigest()})


def _line(item: Item) -> dict[str, Any]:
    version, meta = item.version, item.version.meta
    return {
        "key": item.key,
        "revision": version.revision,
        "version": version.number,
        "modified": meta.modified,
        "author": meta.author,
        "note": meta.note,
        "etag": version.etag,
        "value": None if version.deleted else item.value.decode(),
    }


class Backup:
    """The versions in `file`, as often as it is iterated over; every iteration checks everything.

    After one `created`, `revision`, `versions` and `keys` (how many) are known. Raises BadBackup.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._number = 0
        self.created = 0.0
        self.revision = self.versions = self.keys = 0

    def __iter__(self) -> Iterator[Item]:
        self._file.seek(0)
        self._number = self.versions = self.keys = 0
        digest, last, newest = hashlib.sha256(), None, 0
        self._begin(self._next(digest))
        while "sha256" not in (line := self._next(digest)):
            item = self._item(line, last)
            self.versions, self.keys = self.versions + 1, self.keys + (last is None or last.key != item.key)
            last, newest = item, max(newest, item.version.revision)
            yield item
        self._end(line, newest)

    def check(self) -> None:
        for _ in self:
            pass

    def _next(self, digest: hashlib._Hash) -> dict[str, Any]:
        """The next line. `digest` is of all lines but the last."""
        self._number += 1
        raw = self._file.readline(LINE_BYTES)
        if not raw.endswith(b"\n"):
            raise self._bad("the file is cut off here" if len(raw) < LINE_BYTES else "a line too long")
        try:
            line = json.loads(raw)
        except (ValueError, RecursionError):
            line = None
        if not isinstance(line, dict):
            raise self._bad("not a JSON object")
        if "sha256" in line:
            self._require(
                line["sha256"] == digest.hexdigest(), "the file was changed: its SHA-256 is another one"
            )
        digest.update(raw)
        return line

    def _begin(self, line: dict[str, Any]) -> None:
        self._require("backup" in line, "not a backup of this program")
        self._require(line["backup"] == FORMAT, "a backup by a newer version of this program")
        self.created = float(line.get("created", 0.0))

    def _item(self, line: dict[str, Any], last: Item | None) -> Item:
        self._require(
            line.keys() == _MEMBERS.keys()
            and all(type(line[name]) in kinds for name, kinds in _MEMBERS.items()),
            f"a version has {', '.join(_MEMBERS)}",
        )
        item = self._made(line)
        self._require(item.version.etag == line["etag"], "the value does not fit the ETag")
        self._require(_follows(item, last), "a version out of order")
        return item

    def _made(self, line: dict[str, Any]) -> Item:
        for name in ("revision", "version"):
            self._require(0 < line[name] < 2**63, f"a {name} out of bounds")
        self._require(math.isfinite(line["modified"]), "a time out of bounds")
        meta = Meta(line["author"], line["note"], float(line["modified"]))
        value = line["value"]
        try:
            _check_name(line["key"])
            (meta.author + meta.note).encode()
            raw = None if value is None else value.encode()
            if raw is not None:
                document.parse(raw)
        except (BadKey, BadDocument) as error:
            raise self._bad(error.detail) from None
        except UnicodeEncodeError:
            raise self._bad("half a surrogate pair") from None
        return make_item(line["key"], raw, line["version"], line["revision"], meta)

    def _end(self, line: dict[str, Any], newest: int) -> None:
        self._require(line.get("versions") == self.versions, "the number of versions is another one")
        self._require(
            type(line.get("revision")) is int and line["revision"] >= newest, "the revision is too low"
        )
        self._require(not self._file.read(1), "there is something after the end")
        self.revision = line["revision"]

    def _require(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise self._bad(otherwise)

    def _bad(self, reason: str) -> BadBackup:
        return BadBackup(f"line {self._number}: {reason}")


def _check_name(key: str) -> None:
    if key.startswith(SCHEMAS):
        check_scope(key.removeprefix(SCHEMAS))
    else:
        check_key(key)


def _follows(item: Item, last: Item | None) -> bool:
    """A key's versions stand together and are numbered without a gap."""
    if last is None or last.key < item.key:
        return True
    version, before = item.version, last.version
    return last.key == item.key and version.number == before.number + 1 and version.revision > before.revision
