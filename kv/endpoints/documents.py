"""What stands behind the paths of documents: reads, waits, streams, writes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, TypeVar

from kv import answer, asked, transaction
from kv.admission import Admission
from kv.asked import Asked
from kv.errors import NotFound
from kv.model import NO_ETAG, Item, check_key, check_prefix
from kv.response import Response
from kv.store import Store
from kv.stream import KeyNews, News, Pace, PrefixNews, Stream

_T = TypeVar("_T")
PAGE_BYTES = 8 * 1024 * 1024


class Documents:
    """`pace` and `chance`: how long streams last."""

    def __init__(self, store: Store, admission: Admission, pace: Pace, chance: random.Random) -> None:
        self._store = store
        self._admission = admission
        self._pace = pace
        self._chance = chance

    def read(self, request: Asked, key: str) -> Response:
        check_key(key)
        if asked.wants_stream(request):
            return self._stream(request, KeyNews(self._store, key, asked.last_event(request)))
        given = asked.parameters(request, "wait", "rev", "history")
        asked.alone(given, "wait", "rev", "history")
        if "history" in given:
            return answer.history(key, self._store.history(key, given["history"]))
        if "rev" in given:
            return self._version(key, given["rev"], asked.is_known(request))
        return self._newest(request, key, given.get("wait"))

    def _version(self, key: str, revision: int, known: Callable[[str], bool]) -> Response:
        item = self._store.version(key, revision)
        return answer.unchanged(item.version.etag) if known(item.version.etag) else answer.document(item)

    def _newest(self, request: Asked, key: str, wait: float | None) -> Response:
        known = asked.is_known(request)

        def read() -> tuple[Item | None, str]:
            item = self._store.get(key)
            return item, item.version.etag if item else NO_ETAG

        item, etag = self._wait(request, key, read, lambda seen: known(seen[1]), wait or 0.0)
        # Nothing is not unchanged (RFC 9110, 13.2.1), except for who waits for it to become something.
        if known(etag) and (item or wait is not None):
            return answer.unchanged(etag)
        if item is None:
            raise NotFound("there is nothing under this key", key=key, etag=NO_ETAG)
        return answer.document(item)

    def scan(self, request: Asked, prefix: str) -> Response:
        check_prefix(prefix)
        if asked.wants_stream(request):
            return self._stream(request, PrefixNews(self._store, prefix, asked.last_event(request)))
        given = asked.parameters(request, "values", "limit", "after", "wait")
        known = asked.is_known(request)

        def page() -> Response:
            return self._page(prefix, given)

        response = self._wait(
            request, prefix, page, lambda page: known(answer.etag_in(page)), given.get("wait", 0.0)
        )
        return answer.unchanged(answer.etag_in(response)) if known(answer.etag_in(response)) else response

    def _wait(
        self, request: Asked, topic: str, read: Callable[[], _T], known: Callable[[_T], bool], wait: float
    ) -> _T:
        seen = self._store.wait(topic, read, known, wait)
        if wait:
            self._admission.check_reader(request, topic)  # the right may have been taken away meanwhile
        return seen

    def _page(self, prefix: str, given: dict[str, Any]) -> Response:
        values, limit = given.get("values", False), given.get("limit", asked.PAGE)
        revision, items = self._store.scan(prefix, given.get("after", ""), limit + 1)
        page = items[: _fitting(items, limit) if values else limit]
        return answer.listing(revision, page, len(page) < len(items), values)

    def _stream(self, request: Asked, news: News) -> Response:
        asked.parameters(request)
        allowed = self._admission.lasting(request)
        return answer.stream(Stream(self._store, news, self._pace, self._chance, allowed))

    def put(self, request: Asked, key: str) -> Response:
        check_key(key)
        given = asked.parameters(request, "from", "ttl")
        asked.alone(given, "from", "ttl")
        conditions, meta = asked.conditions(request, key), asked.meta(request)
        if "from" in given:
            asked.no_body(request)
            return answer.written(self._store.restore(key, given["from"], conditions, meta))
        ttl = given.get("ttl")
        return answer.written(self._store.put(key, asked.body(request), conditions, meta, ttl=ttl))

    def patch(self, request: Asked, key: str) -> Response:
        check_key(key)
        asked.parameters(request)
        write = self._store.patch if asked.is_json_patch(request) else self._store.merge
        conditions, meta = asked.conditions(request, key), asked.meta(request)
        return answer.written(write(key, asked.body(request), conditions, meta))

    def delete(self, request: Asked, key: str) -> Response:
        check_key(key)
        asked.parameters(request)
        asked.no_body(request)
        return answer.written(self._store.delete(key, asked.conditions(request, key), asked.meta(request)))

    def transact(self, request: Asked, _key: str) -> Response:
        asked.parameters(request)
        asked.no_conditions(request)
        wanted, meta = transaction.parse(asked.body(request)), asked.meta(request)
        self._admission.check_transaction(request.caller, wanted)
        return answer.committed(self._store.transact(wanted, meta))


def _fitting(items: list[Item], limit: int) -> int:
    """How many of `items`, at most `limit` and at least one, stay within PAGE_BYTES."""
    total = 0
    for count, item in enumerate(items[:limit]):
        total += item.version.size
        if count and total > PAGE_BYTES:
            return count
    return limit
