"""What the server has, as HTTP answers: documents, lists, histories and the outcome of writes. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import IO, Any

from werkzeug.wsgi import FileWrapper

from kv.model import NO_ETAG, Commit, Item, Result, Version, etag_of
from kv.response import Response, date
from kv.stream import Stream

_JSON = "application/json"
_BLOCK = 64 * 1024


def document(item: Item) -> Response:
    """The bytes as they were sent."""
    return _describe(Response(200, {"Content-Type": _JSON}, item.value), item.version)


def listing(revision: int, items: Sequence[Item], more: bool, values: bool) -> Response:
    """One page of a prefix; the stored bytes go in as they are, they are JSON already."""
    members = b", ".join(_entry(item, values) for item in items)
    following = json.dumps(items[-1].key if more else None).encode()
    body = b'{"revision": %d, "items": [%b], "next": %b}\n' % (revision, members, following)
    response = Response(200, {"Content-Type": _JSON, "X-Revision": str(revision)}, body)
    response.etag = etag_of(revision, body)
    return response


def history(key: str, versions: Sequence[Version]) -> Response:
    """Newest first."""
    return _json({"key": key, "versions": [_told(version) for version in versions]})


def written(result: Result) -> Response:
    """The outcome of a write, with the headers a read would now have."""
    response = Response(
        201 if result.created else 200, {"Content-Type": _JSON}, f"{_outcome(result)}\n".encode()
    )
    return _describe(response, result.item.version)


def committed(commit: Commit) -> Response:
    """The outcome of each operation, in their order."""
    revision, results = commit.revision, ", ".join(map(_outcome, commit.results))
    body = f'{{"revision": {revision}, "results": [{results}]}}\n'.encode()
    return Response(200, {"Content-Type": _JSON, "X-Revision": str(revision)}, body)


def etag_in(response: Response) -> str:
    """The ETag that a response carries, without its quotes."""
    return response.etag or NO_ETAG


def status(told: dict[str, Any]) -> Response:
    """In lines, for it is read by people too."""
    return Response(200, {"Content-Type": _JSON}, json.dumps(told, indent=2).encode() + b"\n")


def health(status: str, code: int = 200) -> Response:
    return _json({"status": status}, code)


def backup(file: IO[bytes]) -> Response:
    """All of `file`, which is closed with the response."""
    length = file.tell()
    file.seek(0)
    fields = {
        "Content-Type": "application/x-ndjson",
        "Content-Length": str(length),
        "Content-Disposition": 'attachment; filename="kv-backup.jsonl"',
    }
    return Response(200, fields, FileWrapper(file, _BLOCK))


def stream(events: Stream) -> Response:
    """Events as they come. Who has sent the response closes the stream."""
    fields = {"Content-Type": "text/event-stream"}
    fields["X-Accel-Buffering"] = "no"  # nginx would keep them until it has many
    return Response(200, fields, events)


def unchanged(etag: str) -> Response:
    """304: the client has it."""
    response = Response(304)
    response.etag = etag
    return response


def _describe(response: Response, version: Version) -> Response:
    response.etag = version.etag
    response.fields["X-Revision"] = str(version.revision)
    response.fields["Last-Modified"] = date(int(version.meta.modified))
    return response


def _entry(item: Item, with_value: bool) -> bytes:
    version = item.version
    told = {
        "key": item.key,
        "revision": version.revision,
        "etag": version.etag,
        "size": version.size,
        "modified": time(version.meta.modified),
        **_ttl(version),
    }
    head = json.dumps(told).encode()
    return head[:-1] + b', "value": ' + item.value.strip() + b"}" if with_value else head


def _told(version: Version) -> dict[str, Any]:
    return {
        "revision": version.revision,
        "version": version.number,
        "etag": version.etag,
        "modified": time(version.meta.modified),
        "author": version.meta.author,
        "note": version.meta.note,
        "size": version.size,
        "deleted": version.deleted,
    }


# Written out: the general way takes a tenth of the time of a whole write. No key or ETag has anything to escape.
def _outcome(result: Result) -> str:
    item, version = result.item, result.item.version
    told = (
        f'{{"key": "{item.key}", "revision": {version.revision}, "etag": "{version.etag}",'
        f' "version": {version.number}, "changed": {"true" if result.changed else "false"},'
        f' "modified": "{time(version.meta.modified)}"'
    )
    return f'{told}, "ttl": {_ttl(version)["ttl"]}}}' if version.ttl is not None else told + "}"


def _ttl(version: Version) -> dict[str, float]:
    if version.ttl is None:
        return {}
    return {"ttl": int(version.ttl) if version.ttl.is_integer() else version.ttl}


def time(seconds: float) -> str:
    """RFC 3339, in UTC, to the millisecond."""
    whole, micro = divmod(round(seconds * 1e6), 1_000_000)
    return f"{_second(whole)}.{micro // 1000:03d}Z"


@lru_cache(maxsize=16)
def _second(whole: int) -> str:
    return datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _json(value: Any, status: int = 200) -> Response:
    return Response(status, {"Content-Type": _JSON}, json.dumps(value).encode() + b"\n")
