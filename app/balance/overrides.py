"""Requests that name their version themselves. The first override that matches decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hmac import compare_digest

from app.balance.facts import Facts, reader
from app.config.model import Override

Matches = Callable[[Facts], bool]


def _compile(override: Override) -> Matches:
    read = reader(override.kind, override.name)
    if override.value is None:
        return lambda facts: read(facts) is not None
    secret = override.value.encode()

    def shows_secret(facts: Facts) -> bool:
        shown = read(facts)
        return shown is not None and compare_digest(shown, secret)

    return shows_secret


class Overrides:
    """The document's overrides, compiled.

    Header names have no case, cookie and query names do. A path prefix ends where a segment ends: `/beta`
    matches `/beta` and `/beta/x`, not `/betamax`; with a value, the value is the next segment. Paths are
    compared as sent, without percent-decoding. Values may be secrets: they are compared in constant time.
    """

    __slots__ = ("_rules",)

    def __init__(self, overrides: Sequence[Override]) -> None:
        self._rules = [(_compile(override), override.version) for override in overrides]

    def version(self, facts: Facts) -> str | None:
        """The version this request asks for, or None."""
        for matches, version in self._rules:
            if matches(facts):
                return version
        return None
