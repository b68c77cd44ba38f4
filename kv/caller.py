"""Who asks, and what they may read and write. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from kv.errors import Forbidden
from kv.model import KEY_BYTES, covers


@dataclass(frozen=True, slots=True)
class Caller:
    """`read` and `write` are scopes: keys, or prefixes with all that is under them. `name` is empty for anybody."""

    name: str
    read: tuple[str, ...]
    write: tuple[str, ...]

    def check_read(self, name: str) -> None:
        """`name`: a key, or a prefix, which has to be covered as a whole. Raises Forbidden."""
        self._check(self.read, "read", name)

    def check_write(self, name: str) -> None:
        """As `check_read`."""
        self._check(self.write, "write", name)

    def check_condition(self, key: str) -> None:
        """Whether a write may depend on `key`, whose ETag it learns then. Raises Forbidden."""
        self._check(self.read + self.write, "read", key)

    def _check(self, scopes: tuple[str, ...], right: str, name: str) -> None:
        for scope in scopes:
            if covers(scope, name):
                return
        shown = name[:KEY_BYTES]
        raise Forbidden(
            f"the token {self.name} may not {right} {shown or 'all keys'}",
            scope=f"{right}:{shown}",
            headers={"WWW-Authenticate": 'Bearer error="insufficient_scope"'},
        )


EVERYONE = Caller("", ("",), ("",))
