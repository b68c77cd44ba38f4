"""The file of tokens, `[{"name", "sha256", "read": [scope], "write": [scope]}]`, which holds only their digests."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kv import document
from kv.caller import Caller
from kv.errors import BadDocument, BadKey, BadSetting
from kv.model import check_scope

MOST = 100
_MEMBERS = {"name", "sha256", "read", "write"}
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Tokens:
    """Callers with the SHA-256 of their tokens, in hexadecimal."""

    entries: tuple[tuple[str, Caller], ...]

    def caller(self, token: str) -> Caller | None:
        """Whose token it is. Takes the same time whichever it is, or none."""
        given, found = digest(token), None
        for known, caller in self.entries:
            if hmac.compare_digest(known, given):
                found = caller
        return found


def digest(token: str) -> str:
    return hashlib.sha256(token.encode("latin-1", "replace")).hexdigest()


def make(name: str, read: Sequence[str], write: Sequence[str]) -> tuple[str, dict[str, Any]]:
    """A new token, and the entry for it. Raises BadSetting and BadKey for what `load` would not take."""
    token = f"kv_{secrets.token_urlsafe(32)}"
    entry = {"name": name, "sha256": digest(token), "read": list(read), "write": list(write)}
    _entry(entry)
    return token, entry


def load(path: Path) -> Tokens:
    """Raises BadSetting, which says which entry is wrong, and never shows one."""
    try:
        entries = document.parse(path.read_bytes())
    except OSError as error:
        raise BadSetting(f"{path} cannot be read: {error.strerror}") from error
    except BadDocument as error:
        raise BadSetting(f"{path} is not JSON: {error.detail}") from error
    try:
        return _tokens(entries)
    except BadSetting as error:
        raise BadSetting(f"{path}: {error.detail}") from error


def _tokens(entries: Any) -> Tokens:
    if not isinstance(entries, list) or not 1 <= len(entries) <= MOST:
        raise BadSetting(f"the file of tokens is a list of 1 to {MOST} of them")
    found: dict[str, Caller] = {}
    for number, entry in enumerate(entries, 1):
        try:
            found[entry["sha256"]] = _entry(entry)
        except (BadSetting, BadKey) as error:
            raise BadSetting(f"entry {number}: {error.detail}") from error
    if len({caller.name for caller in found.values()}) < len(entries):
        raise BadSetting("two entries have the same name or the same digest")
    return Tokens(tuple(found.items()))


def _entry(entry: Any) -> Caller:
    """Raises BadSetting and BadKey."""
    if not isinstance(entry, dict) or not {"name", "sha256"} <= entry.keys() <= _MEMBERS:
        raise BadSetting(f"an entry is an object of {', '.join(sorted(_MEMBERS))}")
    _check(_fits(_NAME), entry["name"], "a name is 1 to 64 of A-Z a-z 0-9 . _ -")
    _check(
        _fits(_DIGEST),
        entry["sha256"],
        "sha256 is the token's SHA-256 as 64 hexadecimal digits in lower case",
    )
    return Caller(entry["name"], _scopes(entry, "read"), _scopes(entry, "write"))


def _scopes(entry: dict[str, Any], right: str) -> tuple[str, ...]:
    scopes = entry.get(right, [])
    _check(
        _is_texts, scopes, f"{right} is a list of keys and of prefixes, which end with a slash or are empty"
    )
    return tuple(map(check_scope, scopes))


def _check(fits: Callable[[Any], object], value: Any, meaning: str) -> None:
    if not fits(value):
        raise BadSetting(meaning)


def _fits(pattern: re.Pattern[str]) -> Callable[[Any], object]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
