"""Any key of a config server: what an operator, a pilot and a reporting instance ask and write.

Writes carry their conditions. One whose answer got lost may be repeated: a write that finds its own content in
force counts as done, for the hash in an ETag tells. Failures as in `calls`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple
from urllib.parse import quote

from requests import Session

from app.config.calls import Answer, Caller
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError

LARGEST_ANSWER = 16 * 2**20


class Stored(NamedTuple):
    """A key and what is under it, bytes as they were written."""

    key: str
    raw: bytes
    etag: str
    revision: int


class Entry(NamedTuple):
    """A key in a list. `value` is decoded JSON; `modified` is RFC 3339, by the config server's clock."""

    key: str
    value: Any
    etag: str
    revision: int
    modified: str


class Listing(NamedTuple):
    """All keys under a prefix. `etag` is the first page's, good for `wait` in `KeyClient.scan`."""

    etag: str
    entries: tuple[Entry, ...]


class Written(NamedTuple):
    """`changed`: False when the same was there already."""

    etag: str
    revision: int
    changed: bool


@dataclass(frozen=True, slots=True)
class Write:
    """How to write. `etag`: only in place of that, "0" meaning that there must be nothing; None: whatever is there.

    `ttl`: in so many seconds the key goes by itself. `author` and `note` are kept in the history.
    """

    etag: str | None = None
    ttl: float | None = None
    author: str = ""
    note: str = ""

    def headers(self) -> dict[str, str | bytes]:
        """The fields of the request that say so."""
        condition = {"If-None-Match": "*"} if self.etag == "0" else {"If-Match": f'"{self.etag}"'}
        told = {"X-Author": _field(self.author, 256), "X-Note": _field(self.note, 1024)}
        return (condition if self.etag else {}) | {name: text for name, text in told.items() if text}


class KeyClient:
    """All keys of a config server of one or more addresses. `limit`: seconds for one call, without its `wait`."""

    def __init__(
        self,
        urls: str,
        token: str | None = None,
        *,
        limit: float = 2.0,
        new_session: Callable[[], Session] = Session,
    ) -> None:
        self._caller = Caller(urls, token, limit, LARGEST_ANSWER, new_session)
        self.urls = self._caller.urls
        self._session = self._caller.session()

    def get(self, key: str, revision: int | None = None) -> Stored:
        """What is there, or was there at a revision. Raises ConfigMissing."""
        query = {} if revision is None else {"rev": revision}
        answer = self._call("GET", _path(key), params=query)
        return Stored(key, answer.body, answer.etag, answer.revision)

    def get_changed(self, key: str, known: str | None) -> Stored | None:
        """What is there, None if its ETag still is `known`. Raises ConfigMissing."""
        headers = {"If-None-Match": f'"{known}"'} if known else {}
        answer = self._call("GET", _path(key), headers=headers)
        return None if answer.status == 304 else Stored(key, answer.body, answer.etag, answer.revision)

    def put(self, key: str, raw: bytes, how: Write) -> Written:
        """Store it. Raises ConfigConflict when something else is there than `how` wants to replace."""
        query = {} if how.ttl is None else {"ttl": how.ttl}
        headers = how.headers() | {"Content-Type": "application/json"}
        try:
            return _written(self._call("PUT", _path(key), params=query, headers=headers, data=raw))
        except ConfigConflict as conflict:
            if not conflict.etag.endswith("-" + sha256(raw).hexdigest()[:12]):
                raise
            return Written(conflict.etag, int(conflict.etag.partition("-")[0]), changed=False)

    def transact(self, conditions: Mapping[str, str], key: str, value: Any, how: Write) -> Written:
        """Store `value` under `key` if each key of `conditions` still has that ETag. Raises ConfigConflict."""
        body = {
            "if": [{"key": name, "etag": etag} for name, etag in conditions.items()],
            "do": [{"put": key, "value": value}],
        }
        told = {name: text for name, text in how.headers().items() if name.startswith("X-")}
        headers = told | {"Content-Type": "application/json"}
        (result,) = _json(self._call("POST", "/v1/txn", headers=headers, data=json.dumps(body)))["results"]
        return Written(result["etag"], result["revision"], result["changed"])

    def restore(self, key: str, revision: int, how: Write) -> Written:
        """Store again what was there at a revision. Raises ConfigConflict as `put`, ConfigMissing if it is unknown."""
        return _written(self._call("PUT", _path(key), params={"from": revision}, headers=how.headers()))

    def delete(self, key: str, etag: str | None = None) -> None:
        """Remove it, whatever it is or if it is that. Raises ConfigConflict; ConfigMissing when there is nothing."""
        self._call("DELETE", _path(key), headers=Write(etag).headers())

    def history(self, key: str, count: int) -> list[dict[str, Any]]:
        """The newest versions first, as the config server tells of them."""
        answer = self._call("GET", _path(key), params={"history": count})
        return [dict(version) for version in _json(answer)["versions"]]

    def scan(self, prefix: str, known: str | None = None, wait: float = 0.0) -> Listing | None:
        """All keys under `prefix`, which ends with a slash. None after `wait` seconds if nothing has changed since
        the listing with the ETag `known`."""
        headers = {"If-None-Match": f'"{known}"'} if known else {}
        query: dict[str, Any] = {"values": "true"} | ({"wait": f"{wait:.3f}"} if wait else {})
        first = self._call("GET", _path(prefix), wait=wait, params=query, headers=headers)
        if first.status == 304:
            return None
        page = _json(first)
        entries = page["items"]
        while page["next"]:
            page = _json(self._call("GET", _path(prefix), params={"values": "true", "after": page["next"]}))
            entries += page["items"]
        return Listing(first.etag, tuple(map(_entry, entries)))

    def close(self) -> None:
        """End it; a call under way runs to its end or its limit."""
        self._caller.close()
        self._session.close()

    def _call(self, method: str, path: str, wait: float = 0.0, **options: Any) -> Answer:
        def call(url: str) -> Answer:
            answer = self._caller.exchange(self._session, method, url + path, wait=wait, **options)
            return _checked(answer, url)

        return self._caller.try_each(call)


def _checked(answer: Answer, url: str) -> Answer:
    if answer.status in (200, 201, 304):
        return answer
    if answer.status in (404, 410) and answer.headers.get("Content-Type") == "application/problem+json":
        raise ConfigMissing(f"{url} {answer.refusal}")
    if answer.status == 412:
        raise ConfigConflict(f"{url} holds another document", answer.etag)
    raise ConfigServerError(answer.refusal)


def _path(key: str) -> str:
    return f"/v1/kv/{quote(key, safe='/~')}"


def _json(answer: Answer) -> dict[str, Any]:
    try:
        return dict(json.loads(answer.body))
    except (ValueError, TypeError, RecursionError):
        raise ConfigServerError("gave an answer that is not JSON") from None


def _written(answer: Answer) -> Written:
    return Written(answer.etag, answer.revision, bool(_json(answer).get("changed", True)))


def _entry(item: dict[str, Any]) -> Entry:
    return Entry(item["key"], item.get("value"), item["etag"], item["revision"], item["modified"])


def _field(text: str, longest: int) -> bytes:
    """As a header field may have it: one line of UTF-8, of `longest` bytes at most."""
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(text.split()))
    return line.encode()[:longest].decode(errors="ignore").encode()
