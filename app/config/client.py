"""The client's side of the config server's contract: read, create, replace and watch one document.

Every call ends within its limit and every failure is a ConfigServerError with a readable sentence. What the
document says is not looked at.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import quote

import gevent
from greenlet import greenlet
from requests import RequestException, Session
from urllib3.exceptions import HTTPError

from app.config.calls import Caller, reason
from app.config.document import ABSENT, LARGEST_ANSWER, Document
from app.config.news import EVENT_STREAM, SILENCE, News
from app.errors import ConfigConflict, ConfigMissing, ConfigServerError


class ConfigClient:
    """One document on a config server of one or more addresses, tried in order from the one that last worked.

    `limit`: seconds for one call over all addresses, not counting the wait of a watch; `silence`: so long may a
    watch hear nothing at all. `of`: what it is that the key names, `kv` (documents) or `schema` (their schemas):
    both are read and written alike. Raises ValueError when `urls` is not a comma-separated list of addresses.
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
        self._caller = Caller(urls, token, limit, LARGEST_ANSWER, new_session)
        self.urls = self._caller.urls
        self._path = f"/v1/{of}/{quote(key, safe='/~')}"
        self._silence = silence
        self._watchers: set[greenlet] = set()
        # A watch holds its connection all the time: it gets a session of its own.
        self._session, self._watch_session = (self._caller.session() for _ in range(2))
        self._news: News | None = None

    def read(self, etag: str | None = None) -> Document | None:
        """The document, or None when its ETag still is `etag`; raises ConfigMissing when there is none."""
        return self._caller.try_each(lambda url: self._get(url, etag))

    def watch(self, etag: str | None, wait: float) -> Document | None:
        """As `read`, but answered once the ETag differs from `etag`; None after `wait` seconds or a bit more.

        `ABSENT` as `etag` awaits the document's creation. One stream of events serves all watches, as long as
        each asks for what comes after the one before.
        """
        self._watchers.add(watcher := gevent.getcurrent())
        try:
            return self._caller.try_each(lambda url: self._await_news(url, etag, time.monotonic() + wait))
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
            raise ConfigServerError(reason(fault)) from fault
        except ConfigServerError:
            self._end_news()
            raise

    def _open_news(self, url: str, etag: str | None) -> News:
        headers = {"Accept": EVENT_STREAM} | ({} if etag is None else {"Last-Event-ID": etag})
        limit = self._caller.limit
        with self._caller.limited(limit):
            response = self._watch_session.get(
                url + self._path,
                headers=headers,
                timeout=(limit / 2, self._silence),
                stream=True,
                allow_redirects=False,
            )
            told = response.headers.get("Content-Type", "")
            if response.status_code == 200 and told.startswith(EVENT_STREAM):
                return News(response, url, etag, self._silence)
            with response:
                raise ConfigServerError(self._caller.answer(response).refusal)

    def _end_news(self) -> None:
        """A connection that was interrupted is in no state to be used again: leave none in the pool."""
        news, self._news = self._news, None
        if news is not None:
            news.close()
        self._watch_session.close()

    def create(self, raw: bytes) -> Document:
        """Store the first document; raises ConfigConflict when there already is one."""
        return self._caller.try_each(lambda url: self._put(url, raw, {"If-None-Match": "*"}))

    def replace(self, raw: bytes, etag: str) -> Document:
        """Store a document in place of the one with `etag`; raises ConfigConflict when that is no longer it.

        After a failure the write may have happened all the same: read before trying again.
        """
        return self._caller.try_each(lambda url: self._put(url, raw, {"If-Match": f'"{etag}"'}))

    def close(self) -> None:
        """End it: a watch under way fails at once, any other call runs to its end or its limit."""
        self._caller.close()
        # An OSError, since that is what makes urllib3 close even a socket that is still connecting.
        for watcher in self._watchers:
            gevent.kill(watcher, ConnectionAbortedError("closed"))
        self._session.close()
        if not self._watchers:
            self._end_news()

    def _get(self, url: str, etag: str | None) -> Document | None:
        headers = {} if etag is None else {"If-None-Match": f'"{etag}"'}
        answer = self._caller.exchange(self._session, "GET", url + self._path, headers=headers)
        if answer.status == 304:
            return None
        if answer.status == 404 and answer.etag == ABSENT:
            raise ConfigMissing(f"{url} has no document under this key")
        if answer.status != 200:
            raise ConfigServerError(answer.refusal)
        return Document(answer.body, answer.etag, answer.revision, url)

    def _put(self, url: str, raw: bytes, condition: dict[str, str]) -> Document:
        headers = condition | {"Content-Type": "application/json"}
        answer = self._caller.exchange(self._session, "PUT", url + self._path, headers=headers, data=raw)
        if answer.status == 412:
            raise ConfigConflict(f"{url} holds another document", answer.etag)
        if answer.status not in {200, 201}:
            raise ConfigServerError(answer.refusal)
        return Document(raw, answer.etag, answer.revision, url)
