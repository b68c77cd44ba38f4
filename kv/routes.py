"""Which path and method lead where: the whole interface as one table."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from werkzeug.exceptions import HTTPException
from werkzeug.exceptions import MethodNotAllowed as UnknownMethod
from werkzeug.routing import BaseConverter, Map, Rule

from kv.admission import Need
from kv.asked import Asked
from kv.endpoints.documents import Documents
from kv.endpoints.operations import Operations
from kv.endpoints.schemas import SchemaFiles
from kv.errors import MethodNotAllowed, NotFound
from kv.response import Response


class Endpoint(NamedTuple):
    """A method of one of the `endpoints`; it gets the request, and the key, prefix or scope in the path."""

    part: type
    call: Callable[[Any, Asked, str], Response]
    need: Need


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


def _rule(path: str, endpoint: Endpoint, *methods: str) -> Rule:
    return Rule(path, endpoint=endpoint, methods=methods)


ROUTES = (
    _rule("/v1/kv/<key:key>", Endpoint(Documents, Documents.read, Need.READ), "GET"),
    _rule("/v1/kv/<key:key>", Endpoint(Documents, Documents.put, Need.WRITE), "PUT", "POST"),
    _rule("/v1/kv/<key:key>", Endpoint(Documents, Documents.patch, Need.WRITE), "PATCH"),
    _rule("/v1/kv/<key:key>", Endpoint(Documents, Documents.delete, Need.WRITE), "DELETE"),
    _rule("/v1/kv/<prefix:key>", Endpoint(Documents, Documents.scan, Need.READ), "GET"),
    _rule("/v1/txn", Endpoint(Documents, Documents.transact, Need.WRITE_EACH), "POST"),
    _rule("/v1/schema/<scope:key>", Endpoint(SchemaFiles, SchemaFiles.read, Need.READ), "GET"),
    _rule("/v1/schema/<scope:key>", Endpoint(SchemaFiles, SchemaFiles.put, Need.WRITE), "PUT", "POST"),
    _rule("/v1/schema/<scope:key>", Endpoint(SchemaFiles, SchemaFiles.delete, Need.WRITE), "DELETE"),
    _rule("/v1/schemas", Endpoint(SchemaFiles, SchemaFiles.list_all, Need.READ_ALL), "GET"),
    _rule("/-/healthz", Endpoint(Operations, Operations.alive, Need.NOTHING), "GET"),
    _rule("/-/readyz", Endpoint(Operations, Operations.ready, Need.NOTHING), "GET"),
    _rule("/-/status", Endpoint(Operations, Operations.status, Need.A_TOKEN), "GET"),
    _rule("/-/metrics", Endpoint(Operations, Operations.metrics, Need.A_TOKEN), "GET"),
    _rule("/-/openapi.json", Endpoint(Operations, Operations.describe, Need.NOTHING), "GET"),
    _rule("/-/backup", Endpoint(Operations, Operations.backup, Need.READ_ALL), "GET"),
)
_MAP = Map(
    ROUTES,
    converters={"key": _Key, "prefix": _Rest, "scope": _Scope},
    strict_slashes=False,
    merge_slashes=False,
    redirect_defaults=False,
)


def find(request: Asked) -> tuple[Endpoint, str]:
    """The endpoint, and what it is about: a key, a prefix or a scope, not checked yet.

    Raises NotFound and MethodNotAllowed.
    """
    return _find(request.path, request.method)


@lru_cache(maxsize=1024)
def _find(path: str, method: str) -> tuple[Endpoint, str]:
    adapter = _MAP.bind("localhost", path_info=path, default_method=method)
    try:
        endpoint, arguments = adapter.match()
    except UnknownMethod as error:
        methods = ", ".join(sorted(error.valid_methods or ()))
        raise MethodNotAllowed(f"the methods here are {methods}", headers={"Allow": methods}) from None
    except HTTPException:
        raise NotFound("there is nothing at this path; documents are under /v1/kv/") from None
    return endpoint, arguments.get("key", "")
