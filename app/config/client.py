"""The client's side of the config server's contract: read, create, replace and watch one document.

Every call ends within its limit and every failure is a ConfigServerError with a readable sentence. What the
document says is not looked at. The limits rely on gevent's timers, so sockets must be cooperative ones.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote

import gevent
from gevent import Timeout
from greenlet import greenlet
from requests import ConnectionError as NoConnection
from requests import RequestException, Response, Session
from requests import Timeout as TooSlow
from urllib3.exceptions import HTTPError, ProtocolError

from app.config.document import ABSENT, LARGEST_ANSWER, Document
from app.config.news import EVENT_STREAM, SILENCE, News
from app.config.origin import split_origins
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError

_STRONG_ETAG = re.compile(r'"([!#-~]+)"')  # RFC 9110 §8.8.3
T = TypeVar("T")


class _Answer(NamedTuple):
    status: int
    headers: Mapping[str, str]
    body: bytes


class ConfigClient:
    """One document on a config server of one or more addresses, tried in order from the one that last worked.

    `limit`: seconds for one call over all addresses, not counting the wait of a watch; `silence`: so long may a
    watch hear nothing at all. `of`: what it is that the key names, `kv` (documents) or `schema` (their schemas):
    both are read and written alike. Raises ValueError when `urls` is not a comma-separated list of addresses.
    Redirects and the environment's proxies are not followed: a config comes from where it is said to come from.
    """

    def __init__(
        self,
        urls: str,
        key: str,
        token: str | None = None,
        *,
        limit: float = 2.0,
        silence: float = SILENCE,
        of: str = "kv",
        new_session: Callable[[], Session] = Session,
    ) -> None:
        self.urls = split_origins(urls)
        self._path = f"/v1/{of}/{quote(key, safe='/~')}"
        self._limit = limit / len(self.urls)
        self._silence = silence
        self._first = 0
        self._watchers: set[greenlet] = set()
        self._closed = False
        # A watch holds its connection all the time: it gets a session of its own.
        self._session, self._watch_session = (_prepared(new_session(), token) for _ in range(2))
        self._news: News | None = None

    def read(self, etag: str | None = None) -> Document | None:
        """The document, or None when its ETag still is `etag`; raises ConfigMissing when there is none."""
        return self._try_each(lambda url: self._get(url, etag))

    def watch(self, etag: str | None, wait: float) -> Document | None:
        """As `read`, but answered once the ETag differs from `etag`; None after `wait` seconds or a bit more.

        `ABSENT` as `etag` awaits the document's creation. One stream of events serves all watches, as long as
        each asks for what comes after the one before.
        """
        self._watchers.add(watcher := gevent.getcurrent())
        try:
            return self._try_each(lambda url: self._await_news(url, etag, time.monotonic() + wait))
        finally:
            self._watchers.discard(watcher)

    def _await_news(self, url: str, etag: str | None, until: float) -> Document | None:
        try:
            news = self._news
            if news is None or (news.url, news.etag) != (url, etag):
                self._end_news()
                news = self._news = self._open_news(url, etag)
            return news.next(until)
        except ConfigMissing:
            raise
        except (RequestException, HTTPError, OSError) as fault:
            self._end_news()
            raise ConfigServerError(_reason(fault)) from fault
        except ConfigServerError:
            self._end_news()
            raise

    def _open_news(self, url: str, etag: str | None) -> News:
        if self._closed:
            raise ConfigServerError("is not asked any more")
        headers = {"Accept": EVENT_STREAM} | ({} if etag is None else {"Last-Event-ID": etag})
        timer = Timeout.start_new(self._limit)
        try:
            response = self._watch_session.get(
                url + self._path,
                headers=headers,
                timeout=(self._limit / 2, self._silence),
                stream=True,
                allow_redirects=False,
            )
            if response.status_code == 200 and response.headers.get("Content-Type", "").startswith(
                EVENT_STREAM
            ):
                return News(response, url, etag, self._silence)
            with response:
                raise ConfigServerError(
                    _refusal(_Answer(response.status_code, response.headers, _body(response)))
                )
        except Timeout as expired:
            if expired is not timer:
                raise
            raise ConfigServerError(f"did not answer within {self._limit:g} s") from None
        finally:
            timer.close()

    def _end_news(self) -> None:
        """A connection that was interrupted is in no state to be used again: leave none in the pool."""
        news, self._news = self._news, None
        if news is not None:
            news.close()
        self._watch_session.close()

    def create(self, raw: bytes) -> Document:
        """Store the first document; raises ConfigConflict when there already is one."""
        return self._try_each(lambda url: self._put(url, raw, {"If-None-Match": "*"}))

    def replace(self, raw: bytes, etag: str) -> Document:
        """Store a document in place of the one with `etag`; raises ConfigConflict when that is no longer it.

        After a failure the write may have happened all the same: read before trying again.
        """
        return self._try_each(lambda url: self._put(url, raw, {"If-Match": f'"{etag}"'}))

    def close(self) -> None:
        """End it: a watch under way fails at once, any other call runs to its end or its limit."""
        self._closed = True
        # An OSError, since that is what makes urllib3 close even a socket that is still connecting.
        for watcher in self._watchers:
            gevent.kill(watcher, ConnectionAbortedError("closed"))
        self._session.close()
        if not self._watchers:
            self._end_news()

    def _try_each(self, call: Callable[[str], T]) -> T:
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

    def _get(self, url: str, etag: str | None) -> Document | None:
        headers = {} if etag is None else {"If-None-Match": f'"{etag}"'}
        answer = self._exchange("GET", url, headers=headers)
        if answer.status == 304:
            return None
        if answer.status == 404 and _etag(answer) == ABSENT:
            raise ConfigMissing(f"{url} has no document under this key")
        if answer.status != 200:
            raise ConfigServerError(_refusal(answer))
        return Document(answer.body, _etag(answer), _revision(answer), url)

    def _put(self, url: str, raw: bytes, condition: dict[str, str]) -> Document:
        headers = condition | {"Content-Type": "application/json"}
        answer = self._exchange("PUT", url, headers=headers, data=raw)
        if answer.status == 412:
            raise ConfigConflict(f"{url} holds another document", _etag(answer))
        if answer.status not in {200, 201}:
            raise ConfigServerError(_refusal(answer))
        return Document(raw, _etag(answer), _revision(answer), url)

    def _exchange(self, method: str, url: str, **options: Any) -> _Answer:
        if self._closed:
            raise ConfigServerError("is not asked any more")
        # The whole exchange has one limit: requests' own begins anew with every byte that trickles in.
        timer = Timeout.start_new(self._limit)
        try:
            with self._session.request(
                method,
                url + self._path,
                timeout=(self._limit / 2, self._limit),
                stream=True,
                allow_redirects=False,
                **options,
            ) as response:
                return _Answer(response.status_code, response.headers, _body(response))
        except Timeout as expired:
            if expired is not timer:
                raise
            raise ConfigServerError(f"did not answer within {self._limit:g} s") from None
        except TooSlow:
            raise ConfigServerError(f"did not answer within {self._limit:g} s") from None
        except (RequestException, HTTPError, OSError) as fault:
            raise ConfigServerError(_reason(fault)) from fault
        finally:
            timer.close()


def _prepared(session: Session, token: str | None) -> Session:
    session.trust_env = False
    session.headers["Accept-Encoding"] = "identity"
    if token:
        session.headers["Authorization"] = f"Bearer {token}"
    return session


def _body(response: Response) -> bytes:
    body = bytearray()
    for chunk in response.iter_content(2**16):
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise ConfigServerError(f"sends more than {LARGEST_ANSWER:,} bytes")
    return bytes(body)


def _reason(fault: Exception) -> str:
    if isinstance(fault, NoConnection | ProtocolError):
        return "cannot be reached, or broke off"
    return f"gave an answer that cannot be read ({type(fault).__name__})"


def _etag(answer: _Answer) -> str:
    match = _STRONG_ETAG.fullmatch(answer.headers.get("ETag", ""))
    if match is None:
        raise ConfigServerError(f"answered {answer.status} without a strong ETag: no config server?")
    return match[1]


def _revision(answer: _Answer) -> int:
    text = answer.headers.get("X-Revision", "")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ConfigServerError(f"answered {answer.status} without X-Revision: no config server?")
    return int(text)


def _refusal(answer: _Answer) -> str:
    """The status, and the detail of a problem (RFC 9457) if there is one."""
    try:
        problem = json.loads(answer.body)
        detail = problem.get("detail") or problem.get("title")
    except (ValueError, AttributeError, RecursionError):
        detail = None
    return f"answered {answer.status}{f': {detail[:200]!r}' if isinstance(detail, str) else ''}"
