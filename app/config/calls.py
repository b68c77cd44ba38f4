"""Calls to a config server of one or more addresses: who is asked, for how long, and what a failure is called.

Every call ends within its limit and every failure is a ConfigServerError with a readable sentence. What is asked
and what the answer means is not looked at. The limits rely on gevent's timers, so sockets must be cooperative ones.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from gevent import Timeout
from requests import ConnectionError as NoConnection
from requests import PreparedRequest, Request, RequestException, Response, Session
from requests import Timeout as TooSlow
from requests.exceptions import SSLError as Untrusted
from urllib3.exceptions import HTTPError, ProtocolError

from app.config.origin import split_origins
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError

_STRONG_ETAG = re.compile(r'"([!#-~]+)"')  # RFC 9110 §8.8.3
_NOTHING: Mapping[str, Any] = MappingProxyType({})
_MOST_TEMPLATES = 64
T = TypeVar("T")


def trusting(ca: Path | None) -> Callable[[], Session]:
    """Makes sessions that trust the authorities in a PEM file, and no others; None: the usual ones."""

    def session() -> Session:
        made = Session()
        made.verify = True if ca is None else str(ca)
        return made

    return session


class Answer(NamedTuple):
    """What came back. The headers' names are compared without regard to case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def etag(self) -> str:
        """Without its quotes. Raises ConfigServerError when there is none."""
        match = _STRONG_ETAG.fullmatch(self.headers.get("ETag", ""))
        if match is None:
            raise ConfigServerError(f"answered {self.status} without a strong ETag: no config server?")
        return match[1]

    @property
    def revision(self) -> int:
        """Raises ConfigServerError when there is none."""
        text = self.headers.get("X-Revision", "")
        if not re.fullmatch(r"[0-9]{1,18}", text):
            raise ConfigServerError(f"answered {self.status} without X-Revision: no config server?")
        return int(text)

    @property
    def refusal(self) -> str:
        """The status, and the detail of a problem (RFC 9457) if there is one."""
        try:
            problem = json.loads(self.body)
            detail = problem.get("detail") or problem.get("title")
        except (ValueError, AttributeError, RecursionError):
            detail = None
        return f"answered {self.status}{f': {detail[:200]!r}' if isinstance(detail, str) else ''}"


class Caller:
    """Asks the addresses in order from the one that last worked.

    `limit`: seconds for one call over all addresses. `largest`: bytes of an answer. Raises ValueError when `urls`
    is not a comma-separated list of addresses. Redirects and the environment's proxies are not followed: a config
    comes from where it is said to come from.
    """

    def __init__(
        self, urls: str, token: str | None, limit: float, largest: int, new_session: Callable[[], Session]
    ) -> None:
        self.urls = split_origins(urls)
        self.limit = limit / len(self.urls)
        self._token = token
        self._largest = largest
        self._new_session = new_session
        self._first = 0
        self._closed = False
        self._templates: dict[tuple[Any, ...], PreparedRequest] = {}

    def session(self) -> Session:
        """For calls that may share their connections."""
        session = self._new_session()
        session.trust_env = False
        session.headers["Accept-Encoding"] = "identity"
        if self._token:
            session.headers["Authorization"] = f"Bearer {self._token}"
        return session

    def close(self) -> None:
        """From now on every call fails at once; those under way run to their end or their limit."""
        self._closed = True

    def try_each(self, call: Callable[[str], T]) -> T:
        """What `call` gives for the first address that answers, be it with a refusal that any would give."""
        faults = []
        for index in range(self._first, self._first + len(self.urls)):
            number = index % len(self.urls)
            try:
                found = call(self.urls[number])
            except (ConfigMissing, ConfigConflict):
                self._first = number
                raise
            except ConfigServerError as fault:
                faults.append(f"{self.urls[number]} {fault}")
            else:
                self._first = number
                return found
        raise ConfigServerError("; ".join(faults))

    def exchange(
        self,
        session: Session,
        method: str,
        url: str,
        *,
        wait: float = 0.0,
        params: Mapping[str, Any] = _NOTHING,
        headers: Mapping[str, Any] = _NOTHING,
        data: bytes | str | None = None,
    ) -> Answer:
        """One call; `wait`: so many seconds more, in which the server may hold its answer back."""
        limit = self.limit + wait
        request = self._template(session, method, url, params).copy()
        request.headers.update(headers)
        if data is not None:
            request.prepare_body(data, None)
        # Not by way of the session: what it adds, cookies and redirects, no config server has, and it takes longer
        # than all the rest.
        verify = True if session.verify is None else session.verify
        send = partial(session.get_adapter(url).send, request, stream=True, verify=verify)
        with self.limited(limit), send(timeout=(self.limit / 2, limit)) as response:
            return self.answer(response)

    def _template(
        self, session: Session, method: str, url: str, params: Mapping[str, Any]
    ) -> PreparedRequest:
        """What is asked every second is prepared once."""
        key = method, url, *params.items()
        template = self._templates.get(key)
        if template is None:
            if len(self._templates) == _MOST_TEMPLATES:
                self._templates.clear()
            template = session.prepare_request(Request(method, url, params=dict(params)))
            self._templates[key] = template
        return template

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """What is done inside has so many seconds, and raises ConfigServerError.

        requests' own limits begin anew with every byte that trickles in.
        """
        if self._closed:
            raise ConfigServerError("is not asked any more")
        timer = Timeout.start_new(seconds)
        try:
            yield
        except Timeout as expired:
            if expired is not timer:
                raise
            raise ConfigServerError(f"did not answer within {seconds:g} s") from None
        except TooSlow:
            raise ConfigServerError(f"did not answer within {seconds:g} s") from None
        except (RequestException, HTTPError, OSError) as fault:
            raise ConfigServerError(reason(fault)) from fault
        finally:
            timer.close()

    def answer(self, response: Response) -> Answer:
        """The whole of it. Raises ConfigServerError when that is too much, and what the connection does."""
        return Answer(response.status_code, response.headers, self._body(response))

    def _body(self, response: Response) -> bytes:
        body = bytearray()
        for chunk in response.iter_content(2**16):
            body += chunk
            if len(body) > self._largest:
                raise ConfigServerError(f"sends more than {self._largest:,} bytes")
        return bytes(body)


def reason(fault: Exception) -> str:
    """What a broken exchange is called."""
    if isinstance(fault, Untrusted):
        return "has no certificate that is trusted here; see CONFIG_CA"
    if isinstance(fault, NoConnection | ProtocolError):
        return "cannot be reached, or broke off"
    return f"gave an answer that cannot be read ({type(fault).__name__})"
