"""What stands behind the paths of schemas."""

from __future__ import annotations

from kv import answer, asked
from kv.asked import Asked
from kv.model import check_scope
from kv.response import Response
from kv.schema.registry import Schemas


class SchemaFiles:
    """Read and written like documents, by scope."""

    def __init__(self, schemas: Schemas) -> None:
        self._schemas = schemas

    def read(self, request: Asked, scope: str) -> Response:
        asked.parameters(request)
        item = self._schemas.get(scope)
        known = asked.is_known(request)(item.version.etag)
        return answer.unchanged(item.version.etag) if known else answer.document(item)

    def list_all(self, request: Asked, _key: str) -> Response:
        asked.parameters(request)
        revision, items = self._schemas.all()
        response = answer.listing(revision, items, more=False, values=False)
        return (
            answer.unchanged(answer.etag_in(response))
            if asked.is_known(request)(answer.etag_in(response))
            else response
        )

    def put(self, request: Asked, scope: str) -> Response:
        asked.parameters(request)
        conditions, meta = asked.conditions(request, check_scope(scope)), asked.meta(request)
        return answer.written(self._schemas.put(scope, asked.body(request), conditions, meta))

    def delete(self, request: Asked, scope: str) -> Response:
        asked.parameters(request)
        asked.no_body(request)
        conditions = asked.conditions(request, check_scope(scope))
        return answer.written(self._schemas.delete(scope, conditions, asked.meta(request)))
