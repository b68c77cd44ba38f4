"""What a request has to show before its endpoint sees it: a token, its scopes, conditions, patience.

Without a file of tokens everybody may do everything, as often as they like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum, auto

from kv.asked import Asked, has_conditions
from kv.caller import EVERYONE, Caller
from kv.errors import PreconditionRequired, Unauthorized
from kv.pacing import Pacing
from kv.tokens import Tokens
from kv.transaction import Transaction

_BEARER = re.compile(r"bearer +([!-~]+)", re.IGNORECASE)  # RFC 6750, 2.1


class Need(Enum):
    """What an endpoint asks of who calls it."""

    NOTHING = auto()
    A_TOKEN = auto()
    READ = auto()
    """To read the key, prefix or scope in the path."""
    READ_ALL = auto()
    WRITE = auto()
    """To write the key or scope in the path."""
    WRITE_EACH = auto()
    """To write what is in the body, see `check_transaction`."""


_WRITES = frozenset({Need.WRITE, Need.WRITE_EACH})


class Admission:
    """`tokens` gives those in force, None if anybody may come. `conditional`: every write has to have a condition."""

    def __init__(
        self,
        tokens: Callable[[], Tokens | None] = lambda: None,
        *,
        conditional: bool = False,
        pacing: Pacing | None = None,
    ) -> None:
        self._tokens = tokens
        self._conditional = conditional
        self._pacing = pacing or Pacing()

    def admit(self, request: Asked, need: Need, name: str) -> None:
        """Note who calls. Raises Unauthorized, Forbidden, TooManyRequests, PreconditionRequired."""
        if need is Need.NOTHING:
            return
        request.caller = caller = self._caller(request)
        if need in (Need.READ, Need.READ_ALL):
            caller.check_read(name if need is Need.READ else "")
        if need is Need.WRITE:
            caller.check_write(name)
            self._check_conditions(has_conditions(request))
        if need in _WRITES and caller is not EVERYONE:
            self._pacing.take(caller.name)

    def check_transaction(self, caller: Caller, wanted: Transaction) -> None:
        """Raises Forbidden and PreconditionRequired."""
        for condition in wanted.conditions:
            caller.check_condition(condition.key)
        for operation in wanted.operations:
            caller.check_write(operation.key)
        self._check_conditions(bool(wanted.conditions))

    def check_reader(self, request: Asked, name: str) -> None:
        """Whether who was admitted may still read `name`, now. Raises Unauthorized and Forbidden."""
        self._caller(request).check_read(name)

    def lasting(self, request: Asked) -> Callable[[], bool]:
        """Says whether who was admitted still would be: a token may be taken away while it is answered."""
        before = self._tokens()

        def lasts() -> bool:
            return self._tokens() is before or self._still(request)

        return lasts

    def _still(self, request: Asked) -> bool:
        try:
            return self._caller(request) == request.caller
        except Unauthorized:
            return False

    def _caller(self, request: Asked) -> Caller:
        tokens = self._tokens()
        if tokens is None:
            return EVERYONE
        given = request.field("Authorization")
        if given is None:
            raise _unauthorized("a token is needed here: Authorization: Bearer …", "Bearer")
        match = _BEARER.fullmatch(given)
        caller = tokens.caller(match[1]) if match else None
        if caller is None:
            raise _unauthorized("this is no token that is known here", 'Bearer error="invalid_token"')
        return caller

    def _check_conditions(self, given: bool) -> None:
        if self._conditional and not given:
            raise PreconditionRequired(
                "this server takes no write without a condition: If-Match, If-None-Match, or the if of a transaction"
            )


def _unauthorized(detail: str, challenge: str) -> Unauthorized:
    return Unauthorized(detail, headers={"WWW-Authenticate": challenge})
