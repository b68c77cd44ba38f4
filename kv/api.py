"""The HTTP face of a store, as a WSGI application: guards, then the endpoint that the routes name.

Knows HTTP and the store, not the engine under it nor the server around it.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from kv import openapi, routes
from kv.admission import Admission
from kv.asked import Asked
from kv.endpoints.documents import Documents
from kv.endpoints.operations import Operations
from kv.endpoints.schemas import SchemaFiles
from kv.errors import KvError
from kv.figures import Figures
from kv.guard import guard
from kv.lag import Lag
from kv.metrics import Sources
from kv.problem import problem
from kv.response import Response
from kv.schema.registry import Schemas
from kv.store import Store
from kv.stream import Pace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

log = logging.getLogger(__name__)


class Api:
    """`names` are host names to answer to besides IP addresses and localhost. `admission`: by default of anybody.

    `lag` is only read here; `warnings` are shown to whoever asks for the status.
    """

    def __init__(
        self,
        store: Store,
        names: Collection[str] = (),
        *,
        admission: Admission | None = None,
        lag: Lag | None = None,
        warnings: Callable[[], list[str]] = list,
        pace: Pace | None = None,
        chance: random.Random | None = None,
    ) -> None:
        self._store = store
        self._names = frozenset(name.lower() for name in names)
        self._admission = admission or Admission()
        self._figures = Figures()
        chance = chance or random.Random()  # noqa: S311  it spreads load, and hides nothing
        self._parts: dict[type, Any] = {
            Documents: Documents(store, self._admission, pace or Pace(), chance),
            SchemaFiles: SchemaFiles(Schemas(store)),
            Operations: Operations(
                Sources(store, self._figures, lag or Lag()), warnings, openapi.description
            ),
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Asked(environ, populate_request=False)  # else each would be a cycle with its environment
        response = self._answer(request)
        self._figures.count(request.method, response.status, request.caller.name)
        return response(environ, start_response)

    def _answer(self, request: Asked) -> Response:
        try:
            guard(request, self._names)
            endpoint, name = routes.find(request)
            self._admission.admit(request, endpoint.need, name)
            response = endpoint.call(self._parts[endpoint.part], request, name)
        except KvError as error:
            response = problem(error)
        except Exception:
            log.exception("%s %s", request.method, request.path)
            response = problem(KvError("the server is at fault; its log says why"))
        return self._finish(response)

    def _finish(self, response: Response) -> Response:
        response.fields.setdefault("Cache-Control", "no-cache")
        response.fields["X-Store-Revision"] = str(self._store.revision)
        return response
