"""The HTTP face of a store, as a WSGI application: a list of routes and what stands behind each.

Knows HTTP and the store, not the engine under it nor the server around it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as UnknownMethod
from werkzeug.routing import BaseConverter, Map, Rule
from werkzeug.wrappers import Response

from kv import answer, asked, transaction
from kv.asked import Asked
from kv.errors import KvError, MethodNotAllowed, NotFound
from kv.guard import guard
from kv.model import NO_ETAG, Item, check_key, check_prefix, check_scope
from kv.problem import problem
from kv.schema.registry import Schemas
from kv.store import Store
from kv.stream import KeyNews, News, Pace, PrefixNews, Stream

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)

PAGE_BYTES = 8 * 1024 * 1024


class _Rest(BaseConverter):
    """Whatever is left of the path, empty included; `model` decides whether it is a key or a prefix."""

    regex = "(?:.*/)?"
    part_isolating = False


class _Key(BaseConverter):
    regex = ".*[^/]"
    part_isolating = False


class _Scope(BaseConverter):
    regex = ".*"
    part_isolating = False


Endpoint = Callable[["Api", Asked, str], Response]


class Api:
    """`names` are host names to answer to besides IP addresses and localhost."""

    def __init__(
        self,
        store: Store,
        names: Collection[str] = (),
        *,
        pace: Pace | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._pace = pace or Pace()
        self._chance = chance or random.Random()  # noqa: S311  it spreads load, and hides nothing
        self._schemas = Schemas(store)
        self._names = frozenset(name.lower() for name in names)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        response = self._answer(Asked(environ))
        return response(environ, start_response)

    def _answer(self, request: Asked) -> Response:
        try:
            guard(request, self._names)
            endpoint, arguments = _route(request)
            response = endpoint(self, request, arguments.get("key", ""))
        except KvError as error:
            response = problem(error)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            response = problem(KvError("the server is at fault; its log says why"))
        return self._finish(response)

    def _finish(self, response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-cache")
        response.headers["X-Store-Revision"] = str(self._store.revision)
        return response

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
        return self._newest(key, given.get("wait"), asked.is_known(request))

    def _version(self, key: str, revision: int, known: Callable[[str], bool]) -> Response:
        item = self._store.version(key, revision)
        return answer.unchanged(item.version.etag) if known(item.version.etag) else answer.document(item)

    def _newest(self, key: str, wait: float | None, known: Callable[[str], bool]) -> Response:
        def read() -> tuple[Item | None, str]:
            item = self._store.get(key)
            return item, item.version.etag if item else NO_ETAG

        item, etag = self._store.wait(key, read, lambda seen: known(seen[1]), wait or 0.0)
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

        response = self._store.wait(prefix, page, lambda page: known(_etag(page)), given.get("wait", 0.0))
        return answer.unchanged(_etag(response)) if known(_etag(response)) else response

    def _page(self, prefix: str, given: dict[str, Any]) -> Response:
        values, limit = given.get("values", False), given.get("limit", asked.PAGE)
        revision, items = self._store.scan(prefix, given.get("after", ""), limit + 1)
        page = items[: _fitting(items, limit) if values else limit]
        return answer.listing(revision, page, len(page) < len(items), values)

    def _stream(self, request: Asked, news: News) -> Response:
        asked.parameters(request)
        return answer.stream(Stream(self._store, news, self._pace, self._chance))

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
        return answer.committed(self._store.transact(wanted, meta))

    def read_schema(self, request: Asked, scope: str) -> Response:
        asked.parameters(request)
        item = self._schemas.get(scope)
        known = asked.is_known(request)(item.version.etag)
        return answer.unchanged(item.version.etag) if known else answer.document(item)

    def list_schemas(self, request: Asked, _key: str) -> Response:
        asked.parameters(request)
        revision, items = self._schemas.all()
        response = answer.listing(revision, items, more=False, values=False)
        return answer.unchanged(_etag(response)) if asked.is_known(request)(_etag(response)) else response

    def put_schema(self, request: Asked, scope: str) -> Response:
        asked.parameters(request)
        conditions, meta = asked.conditions(request, check_scope(scope)), asked.meta(request)
        return answer.written(self._schemas.put(scope, asked.body(request), conditions, meta))

    def delete_schema(self, request: Asked, scope: str) -> Response:
        asked.parameters(request)
        asked.no_body(request)
        conditions = asked.conditions(request, check_scope(scope))
        return answer.written(self._schemas.delete(scope, conditions, asked.meta(request)))

    def alive(self, request: Asked, _key: str) -> Response:
        asked.parameters(request)
        return answer.health("ok")

    def ready(self, request: Asked, _key: str) -> Response:
        """Whether a write would be committed now (KvError 503 if not)."""
        asked.parameters(request)
        self._store.check()
        return answer.health("ok")

    def backup(self, request: Asked, _key: str) -> Response:
        asked.parameters(request)
        with ExitStack() as failing:
            file = failing.enter_context(TemporaryFile())
            self._store.backup(file)
            failing.pop_all()
        response = answer.backup(file)
        if request.method == "HEAD":
            response.close()  # nobody else would, without a body
        return response


def _rule(path: str, endpoint: Endpoint, *methods: str) -> Rule:
    return Rule(path, endpoint=endpoint, methods=methods)


ROUTES = (
    _rule("/v1/kv/<key:key>", Api.read, "GET"),
    _rule("/v1/kv/<key:key>", Api.put, "PUT", "POST"),
    _rule("/v1/kv/<key:key>", Api.patch, "PATCH"),
    _rule("/v1/kv/<key:key>", Api.delete, "DELETE"),
    _rule("/v1/kv/<prefix:key>", Api.scan, "GET"),
    _rule("/v1/txn", Api.transact, "POST"),
    _rule("/v1/schema/<scope:key>", Api.read_schema, "GET"),
    _rule("/v1/schema/<scope:key>", Api.put_schema, "PUT", "POST"),
    _rule("/v1/schema/<scope:key>", Api.delete_schema, "DELETE"),
    _rule("/v1/schemas", Api.list_schemas, "GET"),
    _rule("/-/healthz", Api.alive, "GET"),
    _rule("/-/readyz", Api.ready, "GET"),
    _rule("/-/backup", Api.backup, "GET"),
)
_MAP = Map(
    ROUTES,
    converters={"key": _Key, "prefix": _Rest, "scope": _Scope},
    strict_slashes=False,
    merge_slashes=False,
    redirect_defaults=False,
)


def _route(request: Asked) -> tuple[Endpoint, dict[str, Any]]:
    adapter = _MAP.bind("localhost", path_info=request.path, default_method=request.method)
    try:
        endpoint, arguments = adapter.match()
    except UnknownMethod as error:
        methods = ", ".join(sorted(error.valid_methods or ()))
        raise MethodNotAllowed(f"the methods here are {methods}", headers={"Allow": methods}) from None
    except HTTPException:
        raise NotFound("there is nothing at this path; documents are under /v1/kv/") from None
    return endpoint, dict(arguments)


def _fitting(items: list[Item], limit: int) -> int:
    """How many of `items`, at most `limit` and at least one, stay within PAGE_BYTES."""
    total = 0
    for count, item in enumerate(items[:limit]):
        total += item.version.size
        if count and total > PAGE_BYTES:
            return count
    return limit


def _etag(response: Response) -> str:
    return response.get_etag()[0] or NO_ETAG
