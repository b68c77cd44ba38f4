"""An etcd cluster, asked over HTTP through whichever of its members answers.

Every call ends in time. What went wrong is a KvError that says whether it can have had an effect. Knows HTTP and
etcd's errors, no keys. Sockets must be cooperative ones: gevent's timers bound every exchange.
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gevent
from gevent import Timeout
from gevent.lock import BoundedSemaphore
from requests import ConnectionError as NoConnection
from requests import ConnectTimeout, PreparedRequest, Request, RequestException, Response, Session
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, MaxRetryError, NewConnectionError

from kv.engine.etcd.messages import Message
from kv.engine.etcd.pace import Pace
from kv.engine.etcd.target import Target
from kv.errors import Full, TooLarge, Unavailable, Unknown

log = logging.getLogger(__name__)

LANES = 64
_PAUSE = 0.1

RANGE, TXN, WATCH = "/v3/kv/range", "/v3/kv/txn", "/v3/watch"
GRANT, KEEP_ALIVE = "/v3/lease/grant", "/v3/lease/keepalive"
ALARM, AUTHENTICATE = "/v3/maintenance/alarm", "/v3/auth/authenticate"


class Refused(Unavailable):
    """etcd's own no: nothing was done, and asking again is of no use."""


class LeaseGone(Refused):
    """The lease has expired."""


class Compacted(Refused):
    """etcd no longer has what was at this revision."""


class Unauthorized(Refused):
    """The token is old, or the credentials are wrong."""


@dataclass(frozen=True, slots=True)
class Reply:
    """`doubtful`: an earlier attempt of the same call may have been carried out too."""

    message: Message
    doubtful: bool


def _ignore() -> None:
    """Nobody wants to know."""


class Gateway:
    """Asks the member that answered last; another one when that fails, for so long as `pace` says.

    `member` is the present one's place in `endpoints`, and another one in each process. `on_leaving` is called when
    it is given up. When `closing` no call is begun.
    """

    def __init__(
        self,
        target: Target,
        pace: Pace,
        *,
        new_session: Callable[[], Session] = Session,
        chance: random.Random | None = None,
    ) -> None:
        self.endpoints = target.endpoints
        self._pace = pace
        self._credentials = target.credentials
        # A stream is broken off by force, and may take a connection that is on its way out of a pool with it.
        self._session, self._streams = (_session(new_session(), target) for _ in range(2))
        self._requests: dict[str, PreparedRequest] = {}
        self._lanes = BoundedSemaphore(LANES)
        self.member = (chance or random.Random()).randrange(len(target.endpoints))  # noqa: S311  spreads load
        self.on_leaving: Callable[[], None] = _ignore
        self.closing = False
        self._well = True

    @property
    def endpoint(self) -> str:
        """The URL of the member that is asked at present."""
        return self.endpoints[self.member]

    def read(self, path: str, message: Message) -> Message:
        """The answer to what has no effect. Raises Unavailable; Refused is one."""
        try:
            return self.write(path, message).message
        except Unknown as error:
            raise Unavailable(error.detail) from error

    def write(self, path: str, message: Message) -> Reply:
        """The answer to what may be asked again with no other effect than once.

        Raises Unavailable: it has had none; Unknown: it may have had, and may still have; Full, TooLarge.
        """
        data, doubt = json.dumps(message), False
        # A cluster that was away a moment ago is asked once around, lest everyone waits for it in turn.
        until = time.monotonic() + (self._pace.patience if self._well else 0.0)
        for count in itertools.count(1):
            asked = self.member
            try:
                answer = self._exchange(path, data)
            except (Refused, Full, TooLarge) as error:
                self._well = True
                if not doubt:
                    raise
                raise Unknown(f"etcd says no ({error.detail}), but did not answer before") from error
            except (Unavailable, Unknown) as error:
                doubt = doubt or isinstance(error, Unknown)
                self.leave(asked)
                if self.closing or (time.monotonic() >= until and count >= len(self.endpoints)):
                    self._well = False
                    raise (Unknown if doubt else Unavailable)(error.detail) from error
                gevent.sleep(0 if count % len(self.endpoints) else _PAUSE)
            else:
                self._well = True
                return Reply(answer, doubt)
        raise AssertionError  # count() has no end

    def stream(self, path: str, message: Message) -> Iterator[Message]:
        """The `result` of each line of an answer without end, from one member; the first is there in time.

        Raises Unavailable.
        """
        timer = Timeout.start_new(self._pace.attempt, Unavailable("etcd does not begin to answer"))
        try:
            with self._post(self._streams, path, json.dumps(message), None) as response:
                lines = _lines(response)
                first = next(lines, b"{}")
                timer.close()
                for line in itertools.chain([first], lines):
                    yield _understood(line)["result"]
        except (RequestException, HTTPError, OSError, KeyError, Unknown) as error:
            raise Unavailable("etcd has broken off") from error
        finally:
            timer.close()
            self._streams.close()

    def version(self) -> str:
        """Of the member that is asked at present. Raises Unavailable."""
        try:
            response = self._session.get(f"{self.endpoint}/version", timeout=self._pace.attempt)
            version = str(response.json()["etcdserver"])
            self._well = True
            return version
        except (RequestException, ValueError, KeyError, TypeError) as error:
            self._well = False
            raise Unavailable("etcd does not tell its version") from error

    def alarms(self) -> list[str]:
        """What etcd itself holds to be wrong, NOSPACE and CORRUPT; nothing if we may not know. Raises Unavailable."""
        try:
            answer = self.read(ALARM, {"action": "GET"})
        except Refused:
            return []
        return sorted({str(alarm.get("alarm", "")) for alarm in answer.get("alarms", ())})

    def leave(self, member: int) -> None:
        """Ask the next one from now on, unless somebody has left this one already."""
        if member == self.member:
            self.member = (self.member + 1) % len(self.endpoints)
            self.on_leaving()

    def close(self) -> None:
        self._session.close()

    def _exchange(self, path: str, data: str) -> Message:
        if self.closing:
            raise Unavailable("the store is closed")
        with self._lanes:
            try:
                return self._once(path, data)
            except Unauthorized:
                if self._credentials is None:
                    raise
                self._authenticate(*self._credentials)
                return self._once(path, data)

    def _once(self, path: str, data: str) -> Message:
        timer = Timeout.start_new(self._pace.attempt)
        try:
            with self._post(self._session, path, data, self._pace.attempt) as response:
                return _understood(response.content)
        except Timeout as expired:
            if expired is not timer:
                raise
            raise Unknown("etcd did not answer in time") from None
        except (RequestException, HTTPError, OSError) as error:
            raise _broken(error) from error
        finally:
            timer.close()

    def _post(self, session: Session, path: str, data: str, limit: float | None) -> Response:
        request = self._prepared(self.endpoint + path).copy()
        request.prepare_body(data.encode(), None)
        timeout = (self._pace.attempt / 4, limit)
        return session.send(request, stream=True, timeout=timeout, allow_redirects=False)

    def _prepared(self, url: str) -> PreparedRequest:
        """Made once: it takes requests longer than the rest of an exchange."""
        if url not in self._requests:
            self._requests[url] = self._session.prepare_request(Request("POST", url))
        return self._requests[url]

    def _authenticate(self, name: str, password: str) -> None:
        self._requests.clear()
        self._session.headers.pop("Authorization", None)
        answer = self._once(AUTHENTICATE, json.dumps({"name": name, "password": password}))
        self._requests.clear()
        self._session.headers["Authorization"] = str(answer.get("token", ""))


def _session(session: Session, target: Target) -> Session:
    session.trust_env = False
    # Without it a member that is cut off from the others keeps a watch open, in silence.
    session.headers["Grpc-Metadata-hasleader"] = "true"
    session.headers["Accept-Encoding"] = "identity"
    session.verify = target.ca or True
    session.cert = (target.cert, target.key) if target.cert else None
    adapter = HTTPAdapter(pool_connections=len(target.endpoints), pool_maxsize=LANES + 1)
    for scheme in ("http://", "https://"):
        session.mount(scheme, adapter)
    return session


def _lines(response: Response) -> Iterator[bytes]:
    begun: list[bytes] = []
    for block in response.iter_content(None):
        *ended, rest = block.split(b"\n")
        for end in ended:
            yield b"".join([*begun, end])
            begun.clear()
        begun.append(rest)


def _understood(body: bytes) -> Message:
    """An answer of etcd, or of its gateway. Raises what it says is wrong."""
    try:
        answer: dict[str, Any] = json.loads(body)
        fault = answer.get("error")
        if fault is None:
            return answer
        # A stream wraps its errors, other answers are errors.
        fields = fault if isinstance(fault, dict) else answer
        text, code = str(fields.get("message", "")), fields.get("grpc_code", fields.get("code", _UNKNOWN))
    except (ValueError, AttributeError):
        raise Unknown("this is no answer of an etcd") from None
    raise _meant(text, code)


# https://grpc.github.io/grpc/core/md_doc_statuscodes.html
_UNKNOWN, _UNAUTHENTICATED = 2, 16
# InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, FailedPrecondition, OutOfRange, Unimplemented
_REFUSALS = frozenset({3, 5, 7, 8, 9, 11, 12, _UNAUTHENTICATED})
_MEANINGS: tuple[tuple[str, type[Unavailable | Unknown | Full | TooLarge], str], ...] = (
    ("database space exceeded", Full, "etcd has used up its quota; nothing was written"),
    ("request is too large", TooLarge, "etcd takes no request of this size"),
    ("requested lease not found", LeaseGone, "the lease has expired"),
    ("has been compacted", Compacted, "etcd has compacted what was asked for"),
    ("invalid auth token", Unauthorized, "etcd wants a new token"),
    ("revision in header is old", Unauthorized, "etcd wants a new token"),
    ("user name is empty", Unauthorized, "etcd wants a user and a password"),
    ("etcdserver: no leader", Unavailable, "etcd has no leader"),
    ("too many requests", Unavailable, "etcd is overloaded"),
)


def _meant(text: str, code: object) -> Unavailable | Unknown | Full | TooLarge:
    for part, kind, detail in _MEANINGS:
        if part in text:
            return kind(detail)
    if code == _UNAUTHENTICATED:
        return Unauthorized("etcd wants a user and a password")
    return (Refused if code in _REFUSALS else Unknown)(f"etcd answers {text!r}")


def _broken(error: Exception) -> Unavailable | Unknown:
    """What an exchange that failed can have done: nothing, if it never had a connection."""
    cause = error.args[0] if isinstance(error, NoConnection) and error.args else None
    refused = isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    if refused or isinstance(error, ConnectTimeout):
        return Unavailable("etcd cannot be reached")
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Unavailable("etcd shows a certificate that cannot be verified")
    return Unknown("etcd broke off before it answered")
