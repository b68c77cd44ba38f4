"""Tells others of transitions, and asks those who must confirm. Signed: HMAC-SHA256 of the body (RFC 2104)."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import gevent
from gevent import Timeout
from gevent.pool import Pool
from requests import RequestException, Session
from urllib3.exceptions import HTTPError

log = logging.getLogger(__name__)

SIGNATURE = "X-Serin-Signature"
_LIMIT = 5.0
_TRIES = 6
# So many times longer is each pause between two tries than the one before.
_LONGER = 4


class Webhooks:
    """`secret` signs what is sent. What is told is tried `_TRIES` times, beside everything else.

    `pause`: seconds before the second try. Each event has an id of its own (`event`), the same in all tries and at
    all receivers; each try says when it was `sent`, so a receiver can refuse one that comes again.
    """

    def __init__(
        self,
        secret: str | None,
        *,
        new_session: Callable[[], Session] = Session,
        pause: float = 0.5,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = gevent.sleep,
    ) -> None:
        self._secret = secret
        self._new_session = new_session
        self._pause = pause
        self._clock = clock
        self._sleep = sleep
        self._telling = Pool(64)

    def tell(self, urls: Iterable[str], event: Mapping[str, Any]) -> None:
        """Soon, without waiting for it."""
        named = _named(event)
        for number, url in enumerate(urls):
            if self._telling.full():
                log.warning("a webhook is left out: too many are under way")
                return
            self._telling.spawn(self._insist, number, url, named)

    def confirmed(self, urls: Iterable[str], event: Mapping[str, Any]) -> bool:
        """Do all answer 2xx? Asked once each; who asks again later asks again."""
        named = _named(event)
        asked = [gevent.spawn(self._post, url, named) for url in urls]
        gevent.joinall(asked)
        return all(each.value for each in asked)

    def stop(self) -> None:
        """Tell no more; what is under way has a second."""
        self._telling.join(timeout=1)
        self._telling.kill(block=False)

    def _insist(self, number: int, url: str, event: Mapping[str, Any]) -> None:
        for attempt in range(_TRIES):
            if attempt:
                self._sleep(self._pause * _LONGER ** (attempt - 1))
            if self._post(url, event):
                return
        log.warning("webhook %d did not take %s", number + 1, event.get("state"))

    def _post(self, url: str, event: Mapping[str, Any]) -> bool:
        body = json.dumps({**event, "sent": self._clock()}).encode()
        headers = {"Content-Type": "application/json"}
        if self._secret:
            signature = hmac.new(self._secret.encode(), body, hashlib.sha256).hexdigest()
            headers[SIGNATURE] = f"sha256={signature}"
        try:
            with Timeout(_LIMIT), self._new_session() as session:
                session.trust_env = False
                with session.post(
                    url, data=body, headers=headers, timeout=_LIMIT, allow_redirects=False, stream=True
                ) as answer:
                    return 200 <= answer.status_code < 300
        except (RequestException, HTTPError, OSError, Timeout):  # urllib3's own: a name that can be no host's
            return False


def _named(event: Mapping[str, Any]) -> dict[str, Any]:
    return {"event": secrets.token_hex(8), **event}
