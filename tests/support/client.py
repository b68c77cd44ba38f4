"""A visitor on one keep-alive connection, for tests that ask often or come back with their cookie."""

from __future__ import annotations

from http.client import HTTPConnection
from http.cookies import SimpleCookie
from types import TracebackType
from typing import NamedTuple, Self

from tests.support.raw import Address


class Answer(NamedTuple):
    """`version` is the one that answered, "" when it was none; `visitor` the id that a cookie was set to."""

    status: int
    version: str
    visitor: str | None
    body: bytes


class Client:
    """One connection, opened at the first request and again after the server closed it; a context manager.

    `cookie` is the name of the cookie that carries a visitor's id.
    """

    def __init__(self, address: Address, *, cookie: str = "serin") -> None:
        self._connection = HTTPConnection(*address, timeout=10)
        self._cookie = cookie

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def get(self, path: str = "/", *, visitor: str | None = None) -> Answer:
        """One GET, by the visitor with this id or by one who has none. Raises OSError, HTTPException."""
        headers = {} if visitor is None else {"Cookie": f"{self._cookie}={visitor}"}
        self._connection.request("GET", path, headers=headers)
        response = self._connection.getresponse()
        cookies = SimpleCookie(response.headers.get("Set-Cookie", ""))
        given = cookies[self._cookie].value if self._cookie in cookies else None
        return Answer(response.status, response.headers.get("X-Version", ""), given, response.read())

    def version(self, *, visitor: str | None = None) -> str:
        """Which version answers this visitor. AssertionError when none does."""
        answer = self.get(visitor=visitor)
        assert answer.version, f"{answer.status} {answer.body!r}"
        return answer.version
