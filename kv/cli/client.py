"""HTTP as the commands speak it: one server of several addresses, and every failure as a line for a human.

Knows statuses and problem documents, nothing of keys or of how anything is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from requests import ConnectTimeout, ReadTimeout, RequestException, Response, Session
from requests.exceptions import SSLError
from urllib3.exceptions import NewConnectionError

from kv.cli.failure import OutcomeUnknown, Refused, Unreachable

CONNECT, ANSWER = 3.05, 30.0
_READS = frozenset({"GET", "HEAD"})
_FAILURES = {429: Unreachable, 503: Unreachable, 504: OutcomeUnknown}


def addresses(text: str) -> list[str]:
    """The addresses in a comma-separated list. Raises ValueError."""
    found = [part.strip().rstrip("/") for part in text.split(",") if part.strip()]
    for address in found:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path or parts.query:
            raise ValueError(f"{address!r} is not http://host:port")
    if not found:
        raise ValueError("there is no address")
    return found


class Client:
    """The config server at `urls`, tried in order until one answers. `ca`: a PEM file of whom to trust.

    Neither proxies nor .netrc nor redirects are heeded: a token goes to whom it was meant for.
    """

    def __init__(self, urls: Sequence[str], token: str | None = None, ca: str | None = None) -> None:
        self._urls = urls
        self._session = Session()
        self._session.trust_env = False
        self._session.verify = ca or True
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str | bytes] | None = None,
        params: Mapping[str, str | int] | None = None,
        data: bytes | None = None,
        stream: bool = False,
        patience: float = ANSWER,
    ) -> Response:
        """A success. `patience`: seconds to wait for more of the answer. Raises those of `failure`."""
        faults = []
        for url in self._urls:
            try:
                response = self._session.request(
                    method,
                    url + path,
                    headers=headers,
                    params=params,
                    data=data,
                    stream=stream,
                    timeout=(CONNECT, patience),
                    allow_redirects=False,
                )
            except RequestException as error:
                if method not in _READS and not _never_sent(error):
                    raise OutcomeUnknown(f"{url} {_reason(error)}; the write may have happened") from error
                faults.append(f"{url} {_reason(error)}")
            else:
                return _success(response)
        raise Unreachable("; ".join(faults))


def _success(response: Response) -> Response:
    if 200 <= response.status_code < 300:
        return response
    kind = _FAILURES.get(response.status_code, Refused)
    raise kind(_sentence(response))


def _sentence(response: Response) -> str:
    try:
        document = response.json()
    except (ValueError, RequestException):
        document = None
    if not isinstance(document, dict) or "detail" not in document:
        return f"{response.url} answered {response.status_code} {response.reason}"
    return _told(document)


def _told(problem: Mapping[str, Any]) -> str:
    sentence = str(problem["detail"])
    if problem.get("etag") not in (None, "0"):
        sentence += f"; its ETag is {problem['etag']}"
    faults = [fault for fault in problem.get("errors", ()) if fault["detail"] not in sentence]
    told = [f"{fault['pointer'] or 'the top'}: {fault['detail']}" for fault in faults]
    return "; ".join([sentence, *told]).replace("\n", " ")


def _never_sent(error: RequestException) -> bool:
    if isinstance(error, ConnectTimeout | SSLError):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


def _reason(error: RequestException) -> str:
    if isinstance(error, SSLError):
        return "has a certificate that is not trusted here; see --ca"
    if isinstance(error, ReadTimeout):
        return "gave no answer in time"
    return "cannot be reached" if _never_sent(error) else "was lost before it had answered"


def decoded(response: Response) -> Any:
    """Its JSON. Raises Refused if that is not what came."""
    try:
        return json.loads(response.content)
    except ValueError:
        raise Refused(f"{response.url} answered something other than JSON; is it a config server?") from None
